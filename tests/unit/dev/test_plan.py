"""What the set-up does on each kind of machine, by table; tests/integration/test_bare_root.py does some of it."""

import socket
import threading
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from dev import host, plan
from dev.host import Endpoint, Engine, Host, Socket
from dev.plan import EnginePlan, Start
from dev.steps import ClusterError

ALL = frozenset(plan.ENGINE)
FRESH = Host(programs=frozenset(), root=True, apt=True)  # Debian, root, nothing that the set-up needs
NO_ENGINE = Engine(client=None, answers=False)
CLIENT_ALONE = Engine(client="/usr/local/bin/docker", answers=False)
FAR = Endpoint("tcp://192.0.2.1:2375", "DOCKER_HOST", "unset DOCKER_HOST")
CONTEXT = Endpoint("ssh://far.example", "the Docker context `far`", "run `docker context use default`")
EVERY_PACKAGE = ("docker-cli | docker.io", "docker.io", "containerd", "runc", "iptables")


def having(*programs: str) -> Host:
    return replace(FRESH, programs=frozenset(programs))


@pytest.mark.parametrize(
    ("machine", "seen", "expected"),
    [
        pytest.param(FRESH, NO_ENGINE, EnginePlan(Start.DAEMON, EVERY_PACKAGE), id="no docker at all"),
        pytest.param(having("docker"), CLIENT_ALONE, EnginePlan(Start.DAEMON, EVERY_PACKAGE[1:]), id="client alone"),
        pytest.param(
            replace(having("docker"), docker_service=True),
            CLIENT_ALONE,
            EnginePlan(Start.SERVICE, EVERY_PACKAGE[1:]),
            id="unit of an engine whose program is gone",
        ),
        pytest.param(having(*ALL), CLIENT_ALONE, EnginePlan(Start.DAEMON), id="stopped, no systemd"),
        pytest.param(
            replace(having(*ALL), docker_service=True), CLIENT_ALONE, EnginePlan(Start.SERVICE), id="stopped, systemd"
        ),
        pytest.param(
            replace(having(*ALL), docker_service=True),
            replace(CLIENT_ALONE, socket=Socket.HUNG),
            EnginePlan(Start.SERVICE),
            id="still starting, systemd",
        ),
        pytest.param(
            having(*ALL - {"iptables"}), CLIENT_ALONE, EnginePlan(Start.DAEMON, ("iptables",)), id="no iptables"
        ),
        pytest.param(
            having(*ALL - {"containerd", "runc"}),
            CLIENT_ALONE,
            EnginePlan(Start.DAEMON, ("containerd", "runc")),
            id="dockerd alone",
        ),
        pytest.param(
            replace(having(*ALL), apt=False), CLIENT_ALONE, EnginePlan(Start.DAEMON), id="stopped, not Debian"
        ),
        pytest.param(
            FRESH,
            replace(NO_ENGINE, socket=Socket.ANSWERS),
            EnginePlan(Start.NOT_NEEDED, EVERY_PACKAGE[:1]),
            id="engine without a client",
        ),
        pytest.param(
            Host(programs=frozenset({"docker"}), root=False, apt=False),
            replace(CLIENT_ALONE, answers=True, socket=Socket.ANSWERS),
            EnginePlan(Start.NOT_NEEDED),
            id="engine that answers an ordinary user",
        ),
        pytest.param(
            having("docker"),
            replace(CLIENT_ALONE, answers=True, endpoint=replace(CONTEXT, address="unix:///home/me/docker.sock")),
            EnginePlan(Start.NOT_NEEDED),
            id="context of an engine of this machine",
        ),
    ],
)
def test_an_engine_that_answers_is_had_by_the_least_that_leads_to_it(
    machine: Host, seen: Engine, expected: EnginePlan
) -> None:
    assert plan.engine(machine, seen) == expected


USER = replace(FRESH, root=False)
HUNG = "Docker takes connections but does not answer: end or restart `dockerd` as root, then try again"


@pytest.mark.parametrize(
    ("machine", "seen", "sentence"),
    [
        pytest.param(
            USER,
            NO_ENGINE,
            "docker, dockerd, containerd, runc, iptables must be installed: "
            "run `apt-get install docker.io containerd runc iptables` as root, then try again",
            id="no docker, not root",
        ),
        pytest.param(
            replace(FRESH, apt=False),
            CLIENT_ALONE,
            "no Docker engine answers or is installed here: install Docker, start it, then try again",
            id="client alone, not Debian",
        ),
        pytest.param(
            replace(USER, apt=False),
            NO_ENGINE,
            "no Docker engine answers or is installed here: install Docker, start it, then try again",
            id="no docker, not root, not Debian",
        ),
        pytest.param(
            replace(USER, programs=ALL, docker_service=True),
            CLIENT_ALONE,
            "Docker is installed but does not run: run `systemctl start docker` as root, then try again",
            id="stopped, systemd, not root",
        ),
        pytest.param(
            replace(USER, programs=ALL),
            CLIENT_ALONE,
            "Docker is installed but does not run: start `dockerd` as root, then try again",
            id="stopped, no systemd, not root",
        ),
        pytest.param(
            replace(USER, programs=ALL),
            replace(CLIENT_ALONE, socket=Socket.FORBIDDEN),
            "Docker runs but this user may not use it: run `usermod -aG docker USER` as root, log in again, try again",
            id="not in the group",
        ),
        pytest.param(
            FRESH,
            replace(CLIENT_ALONE, socket=Socket.ANSWERS),
            "Docker runs but the client /usr/local/bin/docker cannot talk to it (`docker version` tells why): "
            "put the engine's own client first on PATH, then try again",
            id="client too new for the engine",
        ),
        pytest.param(
            FRESH,
            Engine(client="/usr/bin/docker", answers=True, of_docker=False, endpoint=FAR),
            "/usr/bin/docker is not Docker's or leads to another engine, such as Podman (see `docker version`): "
            "install Docker and put its client first on PATH, then try again",
            id="podman",
        ),
        pytest.param(
            replace(USER, programs=ALL, docker_service=True),
            replace(CLIENT_ALONE, socket=Socket.HUNG),
            HUNG,
            id="engine hangs, not root",
        ),
        pytest.param(having(*ALL), replace(CLIENT_ALONE, socket=Socket.HUNG), HUNG, id="engine hangs"),
        pytest.param(
            having(*ALL),
            replace(CLIENT_ALONE, endpoint=FAR),
            "Docker does not answer at tcp://192.0.2.1:2375, which DOCKER_HOST names: "
            "start it there, or unset DOCKER_HOST",
            id="DOCKER_HOST dead",
        ),
        pytest.param(
            having(*ALL),
            replace(CLIENT_ALONE, endpoint=CONTEXT),
            "Docker does not answer at ssh://far.example, which the Docker context `far` names: "
            "start it there, or run `docker context use default`",
            id="context dead",
        ),
        pytest.param(
            having(*ALL),
            replace(CLIENT_ALONE, answers=True, endpoint=CONTEXT),
            "the Docker context `far` leads to ssh://far.example, and the cluster's ports would open there: "
            "run `docker context use default`",
            id="context of another machine",
        ),
        pytest.param(
            FRESH,
            replace(NO_ENGINE, endpoint=FAR),
            "DOCKER_HOST is set but no Docker client is here: install one, or unset DOCKER_HOST",
            id="DOCKER_HOST without a client",
        ),
    ],
)
def test_where_no_engine_can_be_had_one_sentence_says_what_to_do(machine: Host, seen: Engine, sentence: str) -> None:
    with pytest.raises(ClusterError) as refusal:
        plan.engine(machine, seen)
    assert str(refusal.value) == sentence


@pytest.mark.parametrize(
    ("machine", "packages"),
    [
        pytest.param(having("gcc"), (), id="all there"),
        pytest.param(FRESH, ("gcc",), id="a program"),
        pytest.param(replace(having("gcc"), ca_bundle=False), ("ca-certificates",), id="certificates"),
        pytest.param(replace(having("gcc"), apt=False, ca_bundle=False), (), id="certificates of another system"),
        pytest.param(
            replace(having("gcc"), venv=False, venv_package="python3.11-venv"), ("python3.11-venv",), id="venv"
        ),
    ],
)
def test_a_package_is_installed_for_what_is_missing(machine: Host, packages: tuple[str, ...]) -> None:
    assert plan.packages(machine, {"gcc": "gcc"}) == packages


@pytest.mark.parametrize(
    ("machine", "sentence"),
    [
        pytest.param(
            replace(USER, ca_bundle=False),
            "docker, ca-certificates must be installed: "
            "run `apt-get install docker.io ca-certificates` as root, then try again",
            id="not root",
        ),
        pytest.param(replace(FRESH, apt=False), "docker must be installed: do it, then try again", id="not Debian"),
        pytest.param(
            replace(FRESH, venv=False),
            "this Python has no `ensurepip`: install it, or name another with `make PYTHON=...`",
            id="a Python of its own",
        ),
    ],
)
def test_what_cannot_be_installed_is_named(machine: Host, sentence: str) -> None:
    with pytest.raises(ClusterError) as refusal:
        plan.packages(machine, plan.CLIENT)
    assert str(refusal.value) == sentence


def test_only_debian_s_own_python_is_completed_by_a_package() -> None:
    assert host.venv_package("/usr/bin/python3.13") == "python3.13-venv"
    assert host.venv_package("/opt/python/bin/python3.13") is None


@pytest.mark.parametrize(
    ("environment", "config", "chosen_by"),
    [
        ({}, "{}", None),
        ({}, "not JSON", None),
        ({}, "[]", None),
        ({}, "null", None),
        ({}, '{"currentContext": 5}', None),
        ({}, '{"currentContext": "default"}', None),
        ({}, '{"currentContext": "far"}', "the Docker context `far`"),
        ({"DOCKER_CONTEXT": "near"}, '{"currentContext": "far"}', "the Docker context `near`"),
        ({"DOCKER_CONTEXT": "default"}, '{"currentContext": "far"}', None),
        ({"DOCKER_HOST": "tcp://h:1", "DOCKER_CONTEXT": "near"}, "{}", "DOCKER_HOST"),
        ({"DOCKER_HOST": "unix:///var/run/docker.sock"}, '{"currentContext": "far"}', None),
    ],
)
def test_the_client_is_led_elsewhere_in_its_own_order(
    environment: dict[str, str], config: str, chosen_by: str | None
) -> None:
    found = host.endpoint(environment, config)
    assert (found.chosen_by if found else None) == chosen_by


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("unix:///run/user/1000/docker.sock", True),
        ("tcp://127.0.0.1:2375", True),
        ("tcp://docker:2375", False),
        ("tcp://[::1]:2375", True),
        ("tcp://[::1", False),
        ("ssh://me@far.example", False),
        ("ssh://me@localhost:2222", False),
        ("", False),
    ],
)
def test_an_engine_of_this_machine_is_known_by_its_address(address: str, local: bool) -> None:
    assert plan.is_local(address) == local


def test_an_engine_is_asked_at_its_socket_without_a_client(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    assert host.ping(path) is Socket.SILENT
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nOK")

        thread = threading.Thread(target=answer)
        thread.start()
        assert host.ping(path) is Socket.ANSWERS
        thread.join()
    assert host.ping(path) is Socket.SILENT


@pytest.mark.parametrize("pending", [0, 9])
def test_an_engine_that_takes_connections_and_never_answers_is_known(
    pending: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "PING_WITHIN", 0.1)
    path = tmp_path / "docker.sock"
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(path))
        listener.listen(0)
        for _ in range(pending):  # as many as the socket takes
            waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
            waiting.setblocking(False)
            waiting.connect_ex(str(path))
        assert host.ping(path) is Socket.HUNG


DOCKER = """Client:
 Version:           28.2.2
 Context:           default

Server:
 Engine:
  Version:          20.10.24+dfsg1
 containerd:
  Version:          1.6.20"""
DESKTOP = """Client: Docker Engine - Community
 Version:           27.0.1

Server: Docker Desktop 4.32.0 (157355)
 Engine:
  Version:          27.0.1"""
PODMAN = """Client:        Podman Engine
Version:       5.4.2
API Version:   5.4.2"""
PODMAN_SERVER = """Client: Docker Engine - Community
 Version:           27.0.1

Server: linux/amd64/debian-13
 Podman Engine:
  Version:          5.4.2
 Conmon:
  Version:          2.1.12"""


@pytest.mark.parametrize(
    ("prints", "of_docker"), [(DOCKER, True), (DESKTOP, True), (PODMAN, False), (PODMAN_SERVER, False), ("", False)]
)
def test_an_engine_is_docker_s_by_what_the_client_shows_of_it(prints: str, of_docker: bool) -> None:
    assert host.is_docker(prints) == of_docker
