"""The set-up with a Docker client that misbehaves: programs of this test on the path."""

import re
from pathlib import Path

import pytest

from dev import cache, host, kind, path, up
from dev.host import Endpoint, Engine
from dev.steps import ClusterError, Step


def put(program: Path, script: str) -> Path:
    program.write_text(f"#!/bin/bash\n{script}\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize("config", [b'{"currentContext": "far"}', b'"caf\xe9"', b"[]"])
def test_a_client_that_hangs_or_is_set_up_wrongly_ends_in_no_traceback(
    config: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "DOCKER_ANSWERS_WITHIN", 0.1)
    monkeypatch.setattr(host, "DOCKER_SOCKET", tmp_path / "docker.sock")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "config.json").write_bytes(config)
    client = put(tmp_path / "docker", "sleep 60")
    far = Endpoint("", "the Docker context `far`", "run `docker context use default`")
    seen = host.observe_engine(Step("docker", tmp_path / "log"))
    assert seen == Engine(str(client), answers=False, endpoint=far if b"far" in config else None)


@pytest.mark.parametrize(
    ("prints", "settings", "folder"),
    [
        ("echo /home/me/docker", "{}", "/home/me/docker"),
        ("exit 1", '{"data-root": "/data/docker"}', "/data/docker"),
        ("exit 1", "[]", "/var/lib/docker"),
        ("exit 1", None, "/var/lib/docker"),
    ],
)
def test_room_is_asked_for_where_docker_keeps_its_data(
    prints: str, settings: str | None, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(host, "DOCKER_SETTINGS", tmp_path / "daemon.json")
    if settings is not None:
        host.DOCKER_SETTINGS.write_text(settings)
    put(tmp_path / "docker", prints)
    assert host.docker_folder(Step("docker", tmp_path / "log")) == Path(folder)


# An engine runs while there is a file of that name; `nodes` and `record` are what it keeps.
DOCKER = r"""
[ -e engine ] || exit 1
case "$*" in
version) printf "Server:\n Engine:\n" ;;
info*) echo / ;;
"ps --all"*) [ ! -e nodes ] || cat nodes ;;
inspect*) echo "hca-control-plane 2026-01-01T00:00:00Z" ;;
*"|| cat"*) [ ! -e record ] || cat record ;;
exec*) sed "s/^echo '\(.*\)' > .*/\1/" <<< "${@: -1}" > record ;;
esac
"""
KIND = r"""
echo "$*" >> calls
case "$1" in
create)
    if [ -e fatal ]; then rm fatal engine; echo "hca-control-plane exited" > nodes; exit 1; fi
    echo "hca-control-plane running" > nodes ;;
delete) rm -f nodes record ;;
esac
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an engine that runs, and of programs that know it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(host, "DOCKER_SOCKET", tmp_path / "docker.sock")
    monkeypatch.setattr(cache, "HOME", tmp_path)
    monkeypatch.setattr(cache, "LOGS", tmp_path / "logs")
    monkeypatch.setattr(cache, "KUBECONFIG", tmp_path / "kubeconfig")
    monkeypatch.setattr(path, "FOLDER", tmp_path)
    monkeypatch.setattr(kind, "PORTS", ())
    monkeypatch.setattr("dev.preflight.refuse_small_disk", lambda _: None)
    monkeypatch.setattr("dev.debian.ensure", lambda *_, **__: None)
    monkeypatch.setattr("dev.python.create_environment", lambda _: None)
    put(tmp_path / "docker", DOCKER)
    put(tmp_path / "kind", KIND)
    put(tmp_path / "kubectl", "exit 0")
    (tmp_path / "engine").touch()
    return tmp_path


def have_cluster() -> None:
    with up.engine_run() as run:
        run.steps.start("cluster", lambda step: kind.ensure(step, "image"), after=[run.docker])


def test_an_engine_that_dies_while_the_cluster_is_created_is_named_and_the_next_run_starts_anew(machine: Path) -> None:
    (machine / "fatal").touch()
    with pytest.raises(ClusterError) as failure:
        have_cluster()
    assert re.fullmatch(
        "Docker ended in the middle of the work: run the same command again, which starts Docker and removes what is "
        f"half made .cluster: `{machine}/kind create .*` failed; the whole log is {machine}/logs/cluster.log.",
        str(failure.value),
    )
    assert not (machine / "kubeconfig").exists()

    (machine / "engine").touch()
    (machine / "calls").unlink()
    have_cluster()
    calls = (machine / "calls").read_text().splitlines()
    assert [call.split()[0] for call in calls] == ["delete", "create", "get", "export"]
    (machine / "calls").unlink()
    have_cluster()  # which is whole now
    assert not (machine / "calls").exists()


def test_a_cluster_that_an_engine_made_on_another_machine_is_removed(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kind, "ANSWERS_WITHIN", 0.1)
    put(machine / "kubectl", "exit 1")
    with pytest.raises(ClusterError) as failure:
        have_cluster()
    assert str(failure.value) == (
        "the cluster was created but does not answer on this machine: "
        "unset DOCKER_HOST and run `docker context use default`, then try again"
    )
    assert not (machine / "nodes").exists()
    assert not (machine / "kubeconfig").exists()
