"""Looks at running processes all the time, as their kubelet would and as a reader of their logs would."""

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import psutil
import yaml

from dev.workloads import CHART
from hca_operator.core.quantities import MEBIBYTE, parse_quantity
from tests.controlplane.operator_process import OperatorProcess

EACH_SECONDS = 1.0
FAILED_PROBES = 3
"""In a row, after which a kubelet restarts the container."""
_CHART: Any = yaml.safe_load((CHART / "values.yaml").read_text())


def limit_bytes(*path: str) -> int:
    """The memory limit of a container, by where its resources are in the values of the chart."""
    found = _CHART
    for step in (*path, "resources", "limits", "memory"):
        found = found[step]
    return int(parse_quantity(found))


@dataclass
class Guarded:
    """A process, and what was seen of it."""

    name: str
    process: OperatorProcess
    log: Path
    limit: int
    """Bytes of memory."""
    largest: int = 0
    failed_probes: int = 0
    read_bytes: int = 0
    """Of the log, so far."""
    faults: list[str] = field(default_factory=list)

    _started: bool = False

    def look(self) -> None:
        """Note what is wrong."""
        try:
            self.largest = max(self.largest, int(psutil.Process(self.process.pid).memory_info().rss))
        except psutil.NoSuchProcess:
            self.faults.append("it has ended")
        if self.largest > self.limit:
            self.faults.append(f"{self.largest / MEBIBYTE:.0f} MiB are more than its limit")
        if self.process.probe("healthz") == 200:
            self.failed_probes, self._started = 0, True
        elif self._started:
            self.failed_probes += 1
        if self.failed_probes >= FAILED_PROBES:
            self.faults.append(f"/healthz: {self.process.answer('healthz') or 'no answer'}")
        self.faults += self._errors()

    def _errors(self) -> Iterator[str]:
        with self.log.open("rb") as log:
            log.seek(self.read_bytes)
            lines, _, _ = log.read().rpartition(b"\n")
        self.read_bytes += len(lines) + 1 if lines else 0
        for line in lines.splitlines():
            try:
                said = json.loads(line)
            except ValueError:
                yield f"a line of its log is no JSON: {line.decode(errors='replace')[:500]}"
                continue
            if said["level"] in {"ERROR", "CRITICAL"} or "exc_info" in said:
                yield f"its log has {line.decode(errors='replace')[:3000]}"


class Guard:
    """Looks until the context is left."""

    def __init__(self, guarded: Sequence[Guarded]) -> None:
        self._guarded = guarded
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    def check(self) -> None:
        """AssertionError if anything was wrong so far."""
        wrong = {each.name: each.faults[:5] for each in self._guarded if each.faults}
        assert self._thread.is_alive(), "the guard has ended"
        assert not wrong, json.dumps(wrong, indent=1)

    def figures(self) -> Iterator[str]:
        """What was seen."""
        for each in self._guarded:
            yield f"{each.name}: {each.largest / MEBIBYTE:.0f} of {each.limit / MEBIBYTE:.0f} MiB at most"

    def _run(self) -> None:
        while not self._stop.wait(EACH_SECONDS):
            for each in self._guarded:
                each.look()
