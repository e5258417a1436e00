"""Decides what the set-up installs and starts on a machine, from facts alone. A refusal is one plain sentence."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from dev.host import Endpoint, Engine, Host, Socket
from dev.steps import ClusterError

# A program and the Debian package that brings it; "a | b" is the first of them that the release has.
Needed = Mapping[str, str]

CLIENT = {"docker": "docker-cli | docker.io"}  # a package of its own from Debian 13 on
ENGINE = CLIENT | {"dockerd": "docker.io", "containerd": "containerd", "runc": "runc", "iptables": "iptables"}
IMAGE_BUILDER = {"debootstrap": "debootstrap", "gcc": "gcc", "unshare": "util-linux"}


class Start(Enum):
    """How an engine comes to answer."""

    NOT_NEEDED = "it answers already"
    SERVICE = "systemd starts its service"
    DAEMON = "a daemon is started without systemd"


@dataclass(frozen=True)
class EnginePlan:
    """What is to be done for an engine that answers: first install, then start."""

    start: Start
    packages: tuple[str, ...] = ()


def packages(host: Host, needed: Needed) -> tuple[str, ...]:
    """Return the packages to install for what is missing, of these programs and of what everything needs."""
    missing = {program: package for program, package in needed.items() if program not in host.programs}
    if host.apt and not host.ca_bundle:  # other systems keep theirs elsewhere, and are not without
        missing["ca-certificates"] = "ca-certificates"
    if not host.venv:
        if host.venv_package is None:
            raise ClusterError("this Python has no `ensurepip`: install it, or name another with `make PYTHON=...`")
        missing[host.venv_package] = host.venv_package
    if missing and not host.apt:
        raise ClusterError(f"{', '.join(missing)} must be installed: do it, then try again")
    wanted = tuple(dict.fromkeys(missing.values()))
    if wanted and not host.root:
        names = " ".join(dict.fromkeys(package.rpartition(" ")[2] for package in wanted))
        raise ClusterError(
            f"{', '.join(missing)} must be installed: run `apt-get install {names}` as root, then try again"
        )
    return wanted


def engine(host: Host, seen: Engine) -> EnginePlan:
    """Decide how to have a Docker engine on this machine that answers the client.

    Every way ends in an engine whose ports open on this machine, for that is where the cluster's are asked for.
    """
    if not seen.of_docker:
        raise ClusterError(
            f"{seen.client} is not Docker's or leads to another engine, such as Podman (see `docker version`): "
            "install Docker and put its client first on PATH, then try again"
        )
    if seen.endpoint:
        _refuse_elsewhere(seen.endpoint, seen)
    if seen.answers:
        return EnginePlan(Start.NOT_NEEDED)
    if seen.socket is Socket.FORBIDDEN:
        raise ClusterError(
            "Docker runs but this user may not use it: run `usermod -aG docker USER` as root, log in again, try again"
        )
    if seen.socket is Socket.HUNG and not (host.root and host.docker_service):  # systemd knows one that still starts
        raise ClusterError(
            "Docker takes connections but does not answer: end or restart `dockerd` as root, then try again"
        )
    if seen.socket is Socket.ANSWERS:
        if seen.client:
            raise ClusterError(
                f"Docker runs but the client {seen.client} cannot talk to it (`docker version` tells why): "
                "put the engine's own client first on PATH, then try again"
            )
        return EnginePlan(Start.NOT_NEEDED, packages(host, CLIENT))
    if "dockerd" not in host.programs and not host.apt:
        raise ClusterError("no Docker engine answers or is installed here: install Docker, start it, then try again")
    start, by_hand = (
        (Start.SERVICE, "run `systemctl start docker`") if host.docker_service else (Start.DAEMON, "start `dockerd`")
    )
    wanted = packages(host, ENGINE)
    if not host.root:
        raise ClusterError(f"Docker is installed but does not run: {by_hand} as root, then try again")
    return EnginePlan(start, wanted)


def _refuse_elsewhere(endpoint: Endpoint, seen: Engine) -> None:
    address = endpoint.address or "an unknown address"
    if not seen.client:
        raise ClusterError(f"{endpoint.chosen_by} is set but no Docker client is here: install one, or {endpoint.undo}")
    if not seen.answers:
        raise ClusterError(
            f"Docker does not answer at {address}, which {endpoint.chosen_by} names: start it there, or {endpoint.undo}"
        )
    if not is_local(address):
        raise ClusterError(
            f"{endpoint.chosen_by} leads to {address}, and the cluster's ports would open there: {endpoint.undo}"
        )


def is_local(address: str) -> bool:
    """Tell whether an engine's address is on this machine."""
    try:
        url = urlsplit(address)
    except ValueError:  # such as tcp://[::1
        return False
    # By SSH another machine is reached, also where a tunnel or a virtual machine lends it the name localhost.
    here = url.scheme != "ssh" and url.hostname in {"localhost", "127.0.0.1", "::1"}
    return here or url.scheme in {"unix", "npipe", "fd"}
