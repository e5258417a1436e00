"""The set-up with a Docker client that misbehaves: programs of this test on the path."""

from pathlib import Path

import pytest

from dev import host
from dev.host import Endpoint, Engine
from dev.steps import Step


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
