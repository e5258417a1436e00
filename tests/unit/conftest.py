"""Unit tests run anywhere, in seconds: one that needs another machine, or a program that may be missing, fails."""

import ipaddress
import os
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
PYTHON_PROGRAMS = Path(sys.executable).parent
SYSTEM_PROGRAMS = {"bash", "false", "sh", "sleep", "no-such-program"}  # the last is how a test has one that is missing
RUNNING = pytest.StashKey[bool]()


def refusal(event: str, arguments: tuple[Any, ...]) -> str | None:
    """Return what a unit test must not do, for an audit event of the interpreter; None for all else."""
    if event in {"socket.connect", "socket.sendto"}:
        _, address = arguments
        # An address that is no pair is the path of a Unix socket.
        return f"connect to {address[0]}" if isinstance(address, tuple) and not _is_loopback(address[0]) else None
    if event == "socket.getaddrinfo":
        host = os.fsdecode(arguments[0] or "localhost")
        return None if _is_loopback(host) else f"look up {host}"
    if event == "subprocess.Popen":
        program = Path(os.fsdecode(arguments[0]))
        written_by_a_test = program.is_relative_to(tempfile.gettempdir())
        known = program.parent == PYTHON_PROGRAMS or program.name in SYSTEM_PROGRAMS
        return None if known or written_by_a_test else f"start {program}"
    return None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def pytest_configure(config: pytest.Config) -> None:
    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if config.stash.get(RUNNING, False) and (refused := refusal(event, arguments)):
            pytest.fail(f"a unit test must not {refused}: tests/integration is for those that do")

    sys.addaudithook(audit)  # for as long as the process lives: there is no way to take it back


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, bool, bool]:
    """Mark the time in which a unit test runs, with its fixtures of every scope."""
    item.config.stash[RUNNING] = item.path.is_relative_to(HERE)
    try:
        return (yield)
    finally:
        item.config.stash[RUNNING] = False
