"""Addresses asked in turn at a fixed rate by vegeta, whether or not earlier answers have come.

A client in Python would be as busy as the server that is measured, on the same two cores.
"""

import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev import tools

CONNECTIONS = 64
"""At most, and kept: a server that is late would otherwise be asked for ever more of them, and do nothing else."""


@dataclass(frozen=True)
class Caller:
    """By which certificate a client is known, and what it says besides."""

    certificate: Path
    key: Path
    trusts: Path | None = None
    """The authority of the server; None for any."""
    headers: tuple[str, ...] = ()

    def options(self) -> list[str]:
        """As vegeta knows them."""
        trust = [f"-root-certs={self.trusts}"] if self.trusts else ["-insecure"]
        return [f"-cert={self.certificate}", f"-key={self.key}", *trust, *(f"-header={each}" for each in self.headers)]


@dataclass(frozen=True)
class Answers:
    """What came of it."""

    p50: float
    """Seconds that half of them took at most."""
    p99: float
    good: float
    """Of all, the share that is a 200."""
    others: tuple[str, ...]
    """What was said or met instead."""

    def __str__(self) -> str:
        times = f"{self.p50 * 1000:.1f} ms / {self.p99 * 1000:.1f} ms"
        return times if self.good == 1 else f"{times}, {1 - self.good:.1%} without a value"


def ask(urls: Iterable[str], caller: Caller, *, rate: int, seconds: int) -> Answers:
    """Keep asking."""
    targets = "".join(f"GET {url}\n" for url in urls)
    order = [f"-rate={rate}", f"-duration={seconds}s", "-timeout=10s", f"-max-connections={CONNECTIONS}", "-max-body=0"]
    results = _vegeta("attack", *order, *caller.options(), given=targets.encode())
    report: dict[str, Any] = json.loads(_vegeta("report", "-type=json", given=results))
    times = report["latencies"]
    return Answers(times["50th"] / 1e9, times["99th"] / 1e9, report["success"], tuple(report["errors"] or ()))


def _vegeta(*arguments: str, given: bytes) -> bytes:
    return subprocess.run([tools.VEGETA.program(), *arguments], input=given, stdout=subprocess.PIPE, check=True).stdout
