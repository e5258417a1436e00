"""What the operator costs, and how fast it is, with a thousand objects and more."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median, quantiles

import pytest

from tests.bench.fleet import A_SECOND, AUTOSCALERS, REST, Fleet, Meter, fleet
from tests.bench.record import record
from tests.bench.sightings import PATIENCE
from tests.controlplane.api_server import eventually
from tests.controlplane.operator_process import OperatorProcess

COMMAND = "make bench"
OBJECTS = 1000
MANY = 5000
EDITS = 100
HAND_OVERS = 3
QUIET = 600.0
CONDITIONS = f"""
etcd, API server, controllers and operator share the machine. [kwok](https://kwok.sigs.k8s.io) tells of every pod that
it is ready, one for each object. The autoscalers' controller looks at each every {AUTOSCALERS} s: it has no metrics
here, and at its default of 15 s it would be most of the load. Times are seen by watches of the benchmark's own.
""".strip()
COLUMNS = ("figure", "measured", "goal")


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[Fleet]:
    """No objects yet."""
    with fleet(tmp_path) as started:
        yield started


class Operators:
    """The replicas of the operator, each with a log of its own."""

    def __init__(self, objects: Fleet, folder: Path, stack: ExitStack) -> None:
        self._kubeconfig = objects.control_plane.kubeconfig
        self._folder = folder
        self._stack = stack
        self._started = 0

    def start(self) -> OperatorProcess:
        """One more, which is ready when this returns."""
        self._started += 1
        name = f"replica-{self._started}"
        process = OperatorProcess(self._kubeconfig, self._folder / f"{name}.log", identity=name, forked=False)
        self._stack.callback(process.end)
        process.start()
        return process


@pytest.fixture
def operators(objects: Fleet, tmp_path: Path) -> Iterator[Operators]:
    with ExitStack() as stack:
        yield Operators(objects, tmp_path, stack)


def await_converged(operator: OperatorProcess, size: int) -> None:
    """Wait until every object was looked at, and none waits."""
    meter = Meter(operator)

    def converged() -> bool:
        return meter.total("hca_reconciles_total") >= size and meter.total("hca_queue_depth") == 0

    # Every two seconds: a scrape has the conditions of each object, and is work of the process that is measured.
    eventually(converged, within=PATIENCE, pause=2)


def settle(meter: Meter, size: int) -> None:
    """Wait until every pod is ready, and the controllers and the operator have said all that they have to say."""
    eventually(lambda: meter.total("hca_conditions", type="Ready", status="True") == size, within=PATIENCE, pause=1)
    written, since = meter.writes(), time.monotonic()
    while time.monotonic() - since < REST:
        time.sleep(1)  # the absence of writes can only be watched for a while
        if (now := meter.writes()) != written:
            written, since = now, time.monotonic()


def percentile(seconds: list[float], of: int) -> float:
    return quantiles(seconds, n=100)[of - 1]


def restart(operator: OperatorProcess, size: int) -> float:
    """Stop the operator and start it again; seconds from its start until it has looked at everything."""
    operator.stop()
    began = time.monotonic()
    operator.start()
    await_converged(operator, size)
    return time.monotonic() - began


def hand_over(objects: Fleet, leader: OperatorProcess, how: signal.Signals) -> float:
    """Seconds from the signal to the leader until the next one has carried out an edit that was made at that moment."""
    ended = time.monotonic()
    os.kill(leader.pid, how)
    return objects.edit(len(objects.born) // 2) - ended


@pytest.mark.timeout(3600)
def test_objects_that_come_fast(objects: Fleet, operators: Operators) -> None:
    operators.start()
    creations = objects.grow(OBJECTS)
    record(
        f"{OBJECTS:,} objects, created at {A_SECOND} a second",
        COMMAND,
        COLUMNS,
        [
            (
                "object created -> all its children exist, p50 / p99",
                f"{median(creations):.2f} s / {percentile(creations, 99):.2f} s",
                "<= 1 s / 5 s",
            )
        ],
        conditions=CONDITIONS,
    )


@pytest.mark.timeout(7200)
def test_a_thousand_objects(objects: Fleet, operators: Operators) -> None:
    leader = operators.start()
    meter = Meter(leader)
    resident_without = meter.resident_mebibytes()
    objects.grow(OBJECTS)
    settle(meter, OBJECTS)
    edits = []
    for number in range(0, OBJECTS, OBJECTS // EDITS):
        began = time.monotonic()
        edits.append(objects.edit(number) - began)
    settle(meter, OBJECTS)
    resident_with = meter.resident_mebibytes()
    before = objects.sightings.versions()
    restarted = restart(leader, OBJECTS)
    requests = meter.total("hca_api_requests_total")
    settle(meter, OBJECTS)
    after = objects.sightings.versions()
    written, spent = meter.writes(), meter.cpu_seconds()
    time.sleep(QUIET)  # the quiet itself is what is measured
    written, spent = meter.writes() - written, meter.cpu_seconds() - spent
    over: dict[signal.Signals, list[float]] = {signal.SIGKILL: [], signal.SIGTERM: []}
    for _ in range(HAND_OVERS):
        for how, seconds in over.items():
            standby = operators.start()
            seconds.append(hand_over(objects, leader, how))
            leader.end()
            leader = standby
            await_converged(leader, OBJECTS)
    record(
        f"The operator with {OBJECTS:,} objects",
        COMMAND,
        COLUMNS,
        [
            (f"edit -> child patched, {EDITS} edits one by one, p95", f"{percentile(edits, 95):.2f} s", "<= 1 s"),
            ("restart -> every object looked at, none waits", f"{restarted:.1f} s", "<= 60 s"),
            (
                "children changed by the restart",
                str(sum(after[slot] != version for slot, version in before.items())),
                "0",
            ),
            ("requests of the restart for each object", f"{requests / OBJECTS:.1f}", "<= 8"),
            (
                f"mutating requests in {QUIET / 60:.0f} minutes without a change, Leases and Events apart",
                f"{written:.0f}",
                "0",
            ),
            ("CPU while nothing changes", f"{spent / QUIET * 1000:.0f}m", ""),
            (
                f"resident memory without objects / with {OBJECTS:,}",
                f"{resident_without:.0f} MiB / {resident_with:.0f} MiB",
                "<= 100 MiB / 180 MiB",
            ),
            (
                f"leader killed -> the next has carried out an edit, longest of {HAND_OVERS}",
                f"{max(over[signal.SIGKILL]):.1f} s",
                "<= 20 s",
            ),
            (
                f"leader asked to stop (SIGTERM) -> the next has carried out an edit, longest of {HAND_OVERS}",
                f"{max(over[signal.SIGTERM]):.1f} s",
                "<= 3 s",
            ),
        ],
        conditions=CONDITIONS,
    )


@pytest.mark.timeout(7200)
def test_many_thousand_objects(objects: Fleet, operators: Operators) -> None:
    operator = operators.start()
    objects.grow(MANY)
    settle(Meter(operator), MANY)
    resident = Meter(operator).resident_mebibytes()
    restarted = restart(operator, MANY)
    record(
        f"The operator with {MANY:,} objects",
        COMMAND,
        COLUMNS,
        [
            ("resident memory", f"{resident:.0f} MiB", "<= 400 MiB"),
            ("restart -> every object looked at, none waits", f"{restarted:.0f} s", ""),
        ],
        conditions=CONDITIONS,
    )
