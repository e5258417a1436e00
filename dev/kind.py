"""The kind cluster itself: made when it is missing, dead or of another make; images reach its nodes from here."""

import json
import socket
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from dev import cache, tools
from dev.steps import ClusterError, Step, say

NAME = "hca"
CONFIG = cache.REPOSITORY / "kind-config.yaml"
CONTROL_PLANE = f"{NAME}-control-plane"
PORTS = (8080, 8443)  # of kind-config.yaml
RECORD = "/kind/hca.json"  # what this node was given; it goes when the node goes
ANSWERS_WITHIN = 120.0  # seconds: a busy machine must not cost the cluster, which is removed after that


@dataclass(frozen=True)
class Image:
    """An image that Docker has, by its name and by the id of its content."""

    name: str
    identity: str


def ensure(step: Step, image: str) -> None:
    """Have a cluster that answers, that is made from this image and this configuration and never restarted since."""
    if discard_dead(step, image):
        return
    refuse_taken_ports(step)
    step.run(
        *(tools.KIND.program(), "create", "cluster", "--name", NAME, "--config", CONFIG, "--image", image),
        env={"KUBECONFIG": str(cache.KUBECONFIG)},
    )
    _write_kubeconfig(step)
    if not _answers(step):  # its name or its socket may be a tunnel to another machine
        delete(step)
        raise ClusterError(
            "the cluster was created but does not answer on this machine: "
            "unset DOCKER_HOST and run `docker context use default`, then try again"
        )
    step.run(tools.KIND.program(), "export", "kubeconfig", "--name", NAME)  # the developer's own, as kind itself does
    _write_record(step, {"made-from": _made_from(image), "started": _started(step, _states(step))})
    step.note = "created"


def discard_dead(step: Step, image: str) -> bool:
    """Whether there is such a cluster already; one that is not so is removed."""
    states = _states(step)
    if states and set(states.values()) == {"running"}:
        record = _record(step)
        # Nodes that came back with Docker answer at first, then their static pods are replaced and addresses change.
        if record.get("made-from") == _made_from(image) and record.get("started") == _started(step, states):
            _write_kubeconfig(step)
            if _answers(step):
                step.note = "running"
                return True
    if states:
        say("          the cluster that is there is dead, was restarted or is of another make: it is removed")
        delete(step)
    return False


def _made_from(image: str) -> str:
    return cache.key(image, CONFIG.read_text())


def load(step: Step, images: Sequence[Image]) -> list[Image]:
    """Bring images to every node, those that changed and no others, and return them."""
    record = _record(step)
    loaded = record.get("images", {})
    changed = [image for image in images if loaded.get(image.name) != image.identity]
    step.note = ", ".join(image.name for image in changed) or "unchanged"
    if changed:
        step.run(tools.KIND.program(), "load", "docker-image", "--name", NAME, *(image.name for image in changed))
        identities = {image.name: image.identity for image in changed}
        _write_record(step, record | {"images": loaded | identities})
    return changed


def delete(step: Step) -> None:
    """Remove the cluster, also one that is half there."""
    nodes = list(_states(step))
    if tools.KIND.program().exists():
        step.run(tools.KIND.program(), "delete", "cluster", "--name", NAME)
    elif nodes:
        step.run("docker", "rm", "--force", "--volumes", *nodes)
    cache.KUBECONFIG.unlink(missing_ok=True)
    step.note = f"{len(nodes)} nodes removed" if nodes else "there was none"


def refuse_taken_ports(step: Step) -> None:
    """Fail early and plainly where another program listens on the cluster's ports."""
    shape = '{{.Names}} {{.Label "io.x-k8s.kind.cluster"}}'
    for port in filter(taken, PORTS):
        listed = step.read("docker", "ps", "--filter", f"publish={port}", "--format", shape)
        holders = {name: cluster for name, _, cluster in (line.partition(" ") for line in listed.splitlines())}
        if CONTROL_PLANE not in holders:
            raise ClusterError(f"port {port} of 127.0.0.1 is taken{holder_to_end(holders)}, then try again")


def holder_to_end(holders: dict[str, str]) -> str:
    """Return who has a port and how to end it; containers by their names, with the kind cluster that they are of."""
    for container, cluster in holders.items():
        if cluster:
            return f" by the kind cluster `{cluster}`: run `kind delete cluster --name {cluster}`"
        return f" by the container `{container}`: run `docker stop {container}`"
    return ": end the program that has it (see `ss -ltnp`)"


def taken(port: int) -> bool:
    """Tell whether something listens on a port of 127.0.0.1."""
    with socket.socket() as probe:
        # What a closed connection left behind is no listener.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _states(step: Step) -> dict[str, str]:
    label = f"label=io.x-k8s.kind.cluster={NAME}"
    lines = step.read("docker", "ps", "--all", "--filter", label, "--format", "{{.Names}} {{.State}}").splitlines()
    return dict(line.split() for line in lines)


def _started(step: Step, nodes: Iterable[str]) -> dict[str, str]:
    """Return when each node's container was last started."""
    template = "{{slice .Name 1}} {{.State.StartedAt}}"
    return dict(line.split() for line in step.read("docker", "inspect", "--format", template, *nodes).splitlines())


def _answers(step: Step) -> bool:
    """Tell whether the API server answers; one that is under load may take a moment."""
    deadline = time.monotonic() + ANSWERS_WITHIN
    command = (tools.KUBECTL.program(), "--kubeconfig", cache.KUBECONFIG, "get", "--raw", "/readyz")
    while not step.succeeds(*command, timeout=10):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def _write_kubeconfig(step: Step) -> None:
    if not cache.KUBECONFIG.exists():
        text = step.read(tools.KIND.program(), "get", "kubeconfig", "--name", NAME)
        new = cache.KUBECONFIG.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(text)
        new.rename(cache.KUBECONFIG)


def _record(step: Step) -> dict[str, Any]:
    text = step.read("docker", "exec", CONTROL_PLANE, "bash", "-c", f"[ ! -e {RECORD} ] || cat {RECORD}")
    record: dict[str, Any] = json.loads(text or "{}")
    return record


def _write_record(step: Step, record: dict[str, Any]) -> None:
    shell = f"echo '{json.dumps(record)}' > {RECORD}.new && mv {RECORD}.new {RECORD}"
    step.run("docker", "exec", CONTROL_PLANE, "bash", "-c", shell)
