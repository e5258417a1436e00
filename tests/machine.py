"""Who has the machine: tests that run beside each other would make those under load slow."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def machine(tmp_path_factory: pytest.TempPathFactory, share: int) -> Iterator[None]:
    """Have it with others (fcntl.LOCK_SH), or alone (fcntl.LOCK_EX), among the processes of one run of the tests."""
    own = tmp_path_factory.getbasetemp()
    # Each process of pytest-xdist has a folder of its own in that of the run.
    run = own.parent if own.name.startswith("popen-") else own
    with (run / "machine").open("w") as lock:
        fcntl.flock(lock, share)
        yield
