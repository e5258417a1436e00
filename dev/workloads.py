"""What runs in the cluster: metrics-server, Contour, the operator and the example."""

import shutil
import tempfile
import time
import tomllib
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from dev import cache, modules, node_image, tools
from dev.kind import Image
from dev.steps import ClusterError, Step

CHANGES = Path(__file__).with_name("addons")
KUBECTL = (tools.KUBECTL.program(), "--kubeconfig", cache.KUBECONFIG)
NAMESPACE = "hca-system"
RELEASE = "hca-operator"
HTTP_PORT = 8080  # of kind-config.yaml
PAGE = "/products"  # which the sample app has
SERVED_WITHIN = 30.0  # after Ready, Envoy gets its routes
CHART = cache.REPOSITORY / "charts"
EXAMPLE = cache.REPOSITORY / "examples" / "myapi.yaml"
NAME = "myapi"  # in that file
VERSION = tomllib.loads((cache.REPOSITORY / "pyproject.toml").read_text())["project"]["version"]


@dataclass(frozen=True)
class Addon:
    """A third-party workload, applied from the manifests in its own Go module."""

    name: str
    module: str
    version: str
    folder: str  # of the manifests in the module
    images: dict[str, str]  # as the manifests name them, and as they are to be
    workloads: tuple[tuple[str, str], ...]  # namespace and name


METRICS_SERVER = Addon(
    "metrics-server",
    tools.METRICS_SERVER.module,
    tools.METRICS_SERVER.version,
    "manifests/base",
    {"gcr.io/k8s-staging-metrics-server/metrics-server": node_image.METRICS_SERVER_IMAGE},
    (("kube-system", "deployment/metrics-server"),),
)
CONTOUR = Addon(
    "contour",
    tools.CONTOUR.module,
    tools.CONTOUR.version,
    "examples/contour",
    {"docker.io/envoyproxy/envoy": node_image.ENVOY_IMAGE},
    (("projectcontour", "deployment/contour"), ("projectcontour", "daemonset/envoy")),
)
ADDONS = (METRICS_SERVER, CONTOUR)


@dataclass(frozen=True)
class OwnImage:
    """An image of the project and where it is built from."""

    name: str
    dockerfile: Path
    context: Path

    def build(self, step: Step, *, own_base: bool) -> Image:
        """Build it; what did not change comes from Docker's cache."""
        builder = node_image.CLASSIC_BUILDER if own_base else {}
        step.run("docker", "build", "-t", self.name, "-f", self.dockerfile, self.context, env=builder)
        return Image(self.name, step.read("docker", "image", "inspect", "--format", "{{.Id}}", self.name))


OPERATOR_IMAGE = OwnImage(f"hca-operator:{VERSION}", cache.REPOSITORY / "operator" / "Dockerfile", cache.REPOSITORY)
SAMPLE_IMAGE = OwnImage(f"hca-sample-app:{VERSION}", cache.REPOSITORY / "sample-app" / "Dockerfile", cache.REPOSITORY)


def kubectl(step: Step, *arguments: str | Path) -> str:
    return step.read(*KUBECTL, *arguments)


def render(step: Step, addon: Addon) -> Path:
    """Return an addon's manifests with our changes to them, unless they are there already."""
    upstream = modules.fetch(step, addon.module, addon.version, addon.folder) / addon.folder
    ours = CHANGES / addon.name

    def make(made: Path) -> None:
        with tempfile.TemporaryDirectory(dir=cache.HOME) as work:
            folder = Path(shutil.copytree(ours, Path(work) / addon.name))
            shutil.copytree(upstream, folder / "upstream")
            manifest = step.read(tools.KUBECTL.program(), "kustomize", folder)
        for old, new in addon.images.items():
            manifest = pinned(manifest, old, new)
        (made / "manifest.yaml").write_text(manifest)

    name = f"{addon.name}-{cache.key(upstream, cache.tree_key(ours), addon.images)}"
    return cache.publish(cache.HOME / "manifests" / name, make) / "manifest.yaml"


def pinned(manifest: str, image: str, replacement: str) -> str:
    """Return a manifest with an image, whatever its tag, replaced."""
    lines = manifest.splitlines()
    for index, line in enumerate(lines):
        head, separator, value = line.partition("image: ")
        if separator and value.startswith(f"{image}:"):
            lines[index] = f"{head}{separator}{replacement}"
    if lines == manifest.splitlines():
        raise ClusterError(f"no workload runs the image {image} any more: see dev/workloads.py")
    return "\n".join(lines) + "\n"


def add(step: Step, addon: Addon) -> None:
    """Have an addon run; what is as it should be is left alone."""
    manifest = render(step, addon)
    kubectl(step, "apply", "--server-side", "--force-conflicts", "-f", manifest)
    for namespace, name in addon.workloads:
        kubectl(step, "rollout", "status", "--namespace", namespace, name, "--timeout=180s")


def install_operator(step: Step, image: Image) -> None:
    """Install or upgrade the operator; the image's id rolls it where the tag stays the same."""
    # A run that was interrupted leaves its release pending, and Helm would wait until it is ended.
    pending = f"owner=helm,name={RELEASE},status in (pending-install,pending-upgrade,pending-rollback)"
    kubectl(step, "delete", "secret", "--namespace", NAMESPACE, "--selector", pending)
    try:
        step.run(
            *(tools.HELM.program(), "upgrade", "--install", RELEASE, CHART, "--kubeconfig", cache.KUBECONFIG),
            # The definition may still be marked as another release's, by whatever went wrong in a test.
            *("--namespace", NAMESPACE, "--create-namespace", "--take-ownership", "--wait", "--timeout", "2m"),
            *("--set-string", f"podAnnotations.image-id={image.identity}"),
            *("--set", "externalMetrics.enabled=true"),  # it is the cluster's only one
            # Contour's Envoys, as its own manifests name them.
            *("--set", "externalMetrics.ingress.namespace=projectcontour,externalMetrics.ingress.selector.app=envoy"),
        )
    except ClusterError as error:
        label = f"--selector=app.kubernetes.io/instance={RELEASE}"
        step.succeeds(*KUBECTL, "logs", "--namespace", NAMESPACE, label, "--tail=10", timeout=10)
        raise step.failure("it does not become ready") from error


def apply_example(step: Step, *, restart: bool) -> None:
    """Apply the example and wait until it is ready; a changed image of the same tag needs a restart."""
    there = kubectl(step, "get", "deployment", NAME, "--ignore-not-found", "-o", "name")
    kubectl(step, "apply", "-f", EXAMPLE)
    if there and restart:
        kubectl(step, "rollout", "restart", there)
        kubectl(step, "rollout", "status", there, "--timeout=180s")
    kubectl(step, "wait", "--for=condition=Ready", f"hcapi/{NAME}", "--timeout=180s")


def show_example(step: Step) -> str:
    """Return what a client of the example sees, as a client outside the cluster."""
    table = kubectl(step, "get", "hcapi")
    host = kubectl(step, "get", "ingress", NAME, "-o", "jsonpath={.spec.rules[0].host}")
    url = f"http://{host}:{HTTP_PORT}{PAGE}"
    return f"{table}\n\n{url} (or http://127.0.0.1:{HTTP_PORT}{PAGE} with `Host: {host}`) answers:\n{_answer(host)}"


def _answer(host: str) -> str:
    request = urllib.request.Request(f"http://127.0.0.1:{HTTP_PORT}{PAGE}", headers={"Host": host})
    deadline = time.monotonic() + SERVED_WITHIN
    while True:
        try:
            with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310
                return f"{response.status} {response.read(500).decode(errors='replace').strip()}"
        except OSError as error:
            if time.monotonic() > deadline:
                raise ClusterError(f"{host} does not answer ({error}): see `kubectl describe hcapi {NAME}`") from error
            time.sleep(0.2)
