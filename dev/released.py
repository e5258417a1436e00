"""Programs as their authors released them, copied out of images where a registry has these."""

import sys
from pathlib import Path

from dev import cache, node_image, tools, versions
from dev.go import Tool
from dev.steps import Step

PULLED_WITHIN = 600.0
REGISTRY = "registry.k8s.io"

# The image and the path inside it of each program. All are programs for Linux.
SOURCES: dict[Tool, dict[str, tuple[str, str]]] = {
    tools.KUBECTL: {"kubectl": (node_image.STOCK_IMAGE, "/usr/bin/kubectl")},
    tools.API_SERVER: {
        "kubeadm": (node_image.STOCK_IMAGE, "/usr/bin/kubeadm"),
        **{
            name: (f"{REGISTRY}/{name}:{tools.KUBERNETES_TAG}", f"/usr/local/bin/{name}")
            for name in ("kube-apiserver", "kube-controller-manager")
        },
    },
    tools.ETCD: {"etcd": (f"{REGISTRY}/etcd:{versions.ETCD_TAG}", "/usr/local/bin/etcd")},
}


def copy(step: Step, tool: Tool) -> bool:
    """Have a tool's programs out of images; return whether that was possible."""
    sources = SOURCES.get(tool, {})
    if not sources or sys.platform != "linux" or not all(_have(step, image) for image, _ in sources.values()):
        return False

    def make(made: Path) -> None:
        for name, (image, path) in sources.items():
            container = step.read("docker", "create", image, "none")
            try:
                step.run("docker", "cp", "--follow-link", f"{container}:{path}", made / name)
            finally:
                step.succeeds("docker", "rm", container, timeout=60)

    cache.publish(tool.folder, make)
    step.note = f"{tool.version}, out of its image"
    return True


def _have(step: Step, image: str) -> bool:
    present = step.succeeds("docker", "image", "inspect", image, timeout=30)
    return present or step.succeeds("docker", "pull", image, timeout=PULLED_WITHIN)
