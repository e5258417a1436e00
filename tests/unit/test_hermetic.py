"""What tests/unit/conftest.py refuses."""

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ELSEWHERE = "192.0.2.1"  # of a network for documentation: a packet to it reaches no machine


@pytest.mark.parametrize("program", ["apt-get", "docker", "/usr/bin/sudo", "kubectl"])
def test_a_program_that_may_be_missing_is_refused(program: str) -> None:
    with pytest.raises(pytest.fail.Exception, match=f"must not start {program}"):
        subprocess.run([program, "--version"], check=False)


def test_another_machine_is_refused() -> None:
    with socket.socket() as connection, pytest.raises(pytest.fail.Exception, match=f"must not connect to {ELSEWHERE}"):
        connection.connect((ELSEWHERE, 80))
    with (
        socket.socket(type=socket.SOCK_DGRAM) as connection,
        pytest.raises(pytest.fail.Exception, match=f"must not connect to {ELSEWHERE}"),
    ):
        connection.sendto(b"", (ELSEWHERE, 53))


async def test_a_name_is_not_looked_up() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"must not look up shop\.example"):
        await asyncio.get_running_loop().getaddrinfo("shop.example", 80)


def test_loopback_python_and_a_program_of_the_test_are_allowed(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(("localhost", server.getsockname()[1])).close()
    subprocess.run([sys.executable, "-c", ""], check=True)
    (tmp_path / "kubectl").write_text("#!/bin/sh\n")
    (tmp_path / "kubectl").chmod(0o755)
    subprocess.run([tmp_path / "kubectl"], check=True)
