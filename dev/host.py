"""Facts about this machine that the set-up decides by. Nothing is changed here."""

import importlib.util
import json
import os
import re
import shutil
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from dev.steps import ClusterError, Step

CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
DOCKER_SOCKET = Path("/var/run/docker.sock")
DOCKER_DATA = Path("/var/lib/docker")
DOCKER_SETTINGS = Path("/etc/docker/daemon.json")
DOCKER_ANSWERS_WITHIN = 15.0
PING_WITHIN = 5.0
DEFAULT_ADDRESSES = {f"unix://{DOCKER_SOCKET}", "unix:///run/docker.sock"}
# Debian keeps dockerd, iptables and debootstrap here, and leaves these folders off the path of ordinary users.
ADMINISTRATORS_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"


@dataclass(frozen=True)
class Host:
    """What this machine has of what the set-up needs."""

    programs: frozenset[str]  # those on the path, of the ones that were asked for
    root: bool
    apt: bool
    docker_service: bool = False  # systemd runs and has a unit for Docker
    ca_bundle: bool = True
    venv: bool = True  # this Python can make an environment with pip in it
    venv_package: str | None = None  # what would let it; None for a Python that is not Debian's


class Socket(Enum):
    """How the default socket of a Docker engine reacts."""

    ANSWERS = "answers"
    FORBIDDEN = "forbidden"  # there is one, and this user may not use it
    HUNG = "takes connections and does not answer"
    SILENT = "silent"


@dataclass(frozen=True)
class Endpoint:
    """The engine that the Docker client is pointed at instead of this machine's own."""

    address: str  # a URL, or empty where it is not known
    chosen_by: str  # as a person would say it
    undo: str  # what leads back to this machine's own engine


@dataclass(frozen=True)
class Engine:
    """The Docker engine, as the Docker client here sees it."""

    client: str | None  # its path
    answers: bool  # to that client
    of_docker: bool = True  # what answers, or a client that answers without an engine, is Docker's and not Podman's
    socket: Socket = Socket.SILENT
    endpoint: Endpoint | None = None  # None: this machine's own


def on_path(name: str) -> Iterator[Path]:
    """Every program of a name on the path, in order; what a relative entry leads to moves with the working folder."""
    for folder in os.environ["PATH"].split(os.pathsep):
        if Path(folder).is_absolute() and (found := shutil.which(name, path=folder)):
            yield Path(found)


def observe(programs: Iterable[str]) -> Host:
    """Find out what this machine has, these programs among it."""
    systemd = Path("/run/systemd/system").exists()
    units = [Path(folder, "docker.service") for folder in ("/etc/systemd/system", "/lib/systemd/system")]
    return Host(
        programs=frozenset(program for program in programs if shutil.which(program)),
        root=os.geteuid() == 0,
        apt=bool(shutil.which("apt-get")),
        docker_service=systemd and any(unit.exists() for unit in units),
        ca_bundle=CA_BUNDLE.exists(),
        venv=importlib.util.find_spec("ensurepip") is not None,
        venv_package=venv_package(os.path.realpath(sys.executable)),
    )


def venv_package(interpreter: str) -> str | None:
    """Return the Debian package that lets an interpreter make environments; None if it is not Debian's interpreter."""
    return f"{Path(interpreter).name}-venv" if interpreter.startswith("/usr/bin/python3.") else None


def observe_engine(step: Step) -> Engine:
    """Find out which Docker engine the client leads to and whether it answers."""
    client = shutil.which("docker")
    prints = docker_version(step)
    return Engine(
        client=client,
        answers=prints is not None,
        of_docker=prints is None or is_docker(prints),
        socket=ping(DOCKER_SOCKET),
        endpoint=_endpoint(step, client),
    )


def docker_version(step: Step) -> str | None:
    """Return what `docker version` prints where an engine answers it."""
    try:
        return step.read("docker", "version", timeout=DOCKER_ANSWERS_WITHIN)
    except ClusterError:
        return None


def is_docker(prints: str) -> bool:
    """Tell by what `docker version` prints whether client and engine are Docker's: others have other names for it."""
    return re.search(r"^ *Engine:$", prints, re.MULTILINE) is not None


def docker_folder(step: Step) -> Path:
    """Return where Docker keeps its data: as the engine says, or as it will where it has yet to start."""
    with suppress(ClusterError):
        if folder := step.read("docker", "info", "--format", "{{.DockerRootDir}}", timeout=DOCKER_ANSWERS_WITHIN):
            return Path(folder)
    return Path(setting(_text(DOCKER_SETTINGS), "data-root") or DOCKER_DATA)


def _text(path: Path) -> str:
    """Return what is in a JSON file, whatever its encoding; of one that is not there an empty object."""
    return path.read_text(errors="replace") if path.is_file() else "{}"


def ping(path: Path) -> Socket:
    """Ask the engine behind a socket whether it serves, without a client."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PING_WITHIN)
        try:
            connection.connect(str(path))
            connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return Socket.ANSWERS if connection.recv(16).startswith(b"HTTP/1") else Socket.SILENT
        except (TimeoutError, BlockingIOError):  # the latter where many wait to be taken
            return Socket.HUNG
        except PermissionError:
            # A socket stays behind when its engine ends, and forbids as before.
            return Socket.FORBIDDEN if _runs("dockerd") else Socket.SILENT
        except OSError:
            return Socket.SILENT


def _runs(program: str) -> bool:
    for name in Path("/proc").glob("[0-9]*/comm"):
        with suppress(OSError):  # it has just ended
            if name.read_text(errors="replace").strip() == program:
                return True
    return False


def _endpoint(step: Step, client: str | None) -> Endpoint | None:
    folder = os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")  # noqa: PTH111 - no home is no error
    config = Path(folder) / "config.json"
    found = endpoint(os.environ, _text(config))
    if found is None or found.address or client is None:
        return found
    try:
        address = step.read(
            "docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}", timeout=DOCKER_ANSWERS_WITHIN
        )
    except ClusterError:
        address = ""  # a context whose definition is gone, or a client that hangs
    return Endpoint(address, found.chosen_by, found.undo)


def endpoint(environment: Mapping[str, str], config: str) -> Endpoint | None:
    """Return what leads the client away from this machine's own engine, in the client's own order."""
    if address := environment.get("DOCKER_HOST"):
        return None if address in DEFAULT_ADDRESSES else Endpoint(address, "DOCKER_HOST", "unset DOCKER_HOST")
    if name := environment.get("DOCKER_CONTEXT"):
        undo = "unset DOCKER_CONTEXT"
    else:
        name = setting(config, "currentContext")
        undo = "run `docker context use default`"
    return Endpoint("", f"the Docker context `{name}`", undo) if name and name != "default" else None


def setting(config: str, name: str) -> str | None:
    """Return a text of a JSON file of Docker's; of one that is wrong nothing, for Docker itself says what is wrong."""
    with suppress(ValueError):
        found = json.loads(config)
        value = found.get(name) if isinstance(found, dict) else None
        return value if isinstance(value, str) else None
    return None
