"""The programs that the local cluster is built of and driven with."""

from pathlib import Path

from dev import versions
from dev.go import Tool
from dev.path import PathTool

KUBERNETES_TAG = f"v{versions.KUBERNETES}"
NODE = Path(__file__).with_name("node")


def _kubernetes(*programs: str) -> tuple[str, str, tuple[str, ...], str]:
    """Return the module, the version, the packages and the linker's flags of programs of Kubernetes."""
    version, client = "k8s.io/component-base/version", "k8s.io/client-go/pkg/version"
    major, minor, _ = versions.KUBERNETES.split(".")
    stamps = {
        f"{version}.gitVersion": KUBERNETES_TAG,
        f"{version}.gitMajor": major,
        f"{version}.gitMinor": minor,
        f"{version}.gitTreeState": "clean",
        f"{client}.gitVersion": KUBERNETES_TAG,
    }
    ldflags = " ".join(f"-X {variable}={value}" for variable, value in stamps.items())
    return "k8s.io/kubernetes", KUBERNETES_TAG, tuple(f"cmd/{program}" for program in programs), ldflags


# What a developer's machine needs even where the node image comes from a registry.
KUBECTL = PathTool(
    "kubectl",
    *_kubernetes("kubectl"),
    version_arguments=("version", "--client"),
    before_version="Client Version: ",
)
HELM = PathTool("helm", "helm.sh/helm/v3", f"v{versions.HELM}", ("cmd/helm",), version_arguments=("version", "--short"))
KIND = PathTool(
    "kind", "sigs.k8s.io/kind", f"v{versions.KIND}", ("",), version_arguments=("version",), before_version="kind "
)
DEVELOPER = (KUBECTL, KIND, HELM)

# What the control plane of tests/controlplane needs beside kubectl.
API_SERVER = Tool("control-plane", *_kubernetes("kube-apiserver", "kube-controller-manager", "kubeadm"))
ETCD = Tool("etcd", "go.etcd.io/etcd/server/v3", f"v{versions.ETCD}", ("",))
CONTROL_PLANE = (API_SERVER, ETCD)

# What the benchmarks at scale need beside the control plane: nodes and pods that are only reported.
KWOK = Tool("kwok", "sigs.k8s.io/kwok", f"v{versions.KWOK}", ("cmd/kwok",))

# What asks a server at a fixed rate, for a fraction of the CPU that the server takes.
VEGETA = Tool("vegeta", "github.com/tsenart/vegeta/v12", f"v{versions.VEGETA}", ("",))

# Debian's Prometheus cannot look for pods. Of the other clouds nothing is needed.
PROMETHEUS = Tool(
    "prometheus",
    "github.com/prometheus/prometheus",
    f"v{versions.PROMETHEUS}",
    ("cmd/prometheus",),
    tags=("remove_all_sd", "enable_kubernetes_sd"),
)

# The autoscaler that ours is measured beside.
KEDA = Tool("keda", "github.com/kedacore/keda/v2", f"v{versions.KEDA}", ("cmd/operator", "cmd/adapter"))

# What enforces NetworkPolicies: kind's own pod network contains it, that of a node image of our own does not.
NETWORK_POLICIES = Tool(
    "network-policies", "sigs.k8s.io/kube-network-policies", f"v{versions.NETWORK_POLICIES}", ("cmd",)
)

# What a node image of our own needs beside all of the above.
NODE_PROGRAMS = Tool("node", *_kubernetes("kubelet", "kube-scheduler", "kube-proxy"))
CONTAINERD = Tool(
    "containerd",
    "github.com/containerd/containerd/v2",
    f"v{versions.CONTAINERD}",
    ("cmd/containerd", "cmd/containerd-shim-runc-v2", "cmd/ctr"),
)
CNI_PLUGINS = Tool(
    "cni",
    "github.com/containernetworking/plugins",
    f"v{versions.CNI_PLUGINS}",
    ("plugins/main/bridge", "plugins/main/loopback", "plugins/ipam/host-local", "plugins/meta/portmap"),
)
COREDNS = Tool("coredns", "github.com/coredns/coredns", f"v{versions.COREDNS}", (), main=NODE / "coredns.go")
METRICS_SERVER = Tool(
    "metrics-server", "sigs.k8s.io/metrics-server", f"v{versions.METRICS_SERVER}", ("cmd/metrics-server",)
)
CONTOUR = Tool("contour", "github.com/projectcontour/contour", f"v{versions.CONTOUR}", ("cmd/contour",))
NODE_IMAGE = (NODE_PROGRAMS, CONTAINERD, CNI_PLUGINS, COREDNS, CONTOUR, METRICS_SERVER)
