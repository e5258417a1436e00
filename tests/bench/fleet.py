"""Many objects on a control plane without real nodes, and the operator that looks after them."""

import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from dev import tools, up
from dev.control_plane import ControlPlane
from hca_operator.api.crd import crd
from hca_operator.desired.metadata import MANAGED_SELECTOR
from tests.bench.fake_node import fake_node
from tests.bench.sightings import KINDS, PATIENCE, Sightings
from tests.controlplane.api_server import ApiServer, Manifest, eventually
from tests.controlplane.objects import KIND, ROUTES, api, install
from tests.controlplane.operator_process import OperatorProcess

SPEC: Manifest = {**ROUTES, "autoscaling": {"minReplicas": 1}}
"""One pod for each: pods cost the machine more than what is measured."""
A_SECOND = 10
"""Objects that are made in a second."""
NAMESPACES = 20
AUTOSCALERS = 60
"""Seconds between two looks of their controller at each autoscaler: at its default of 15 it would be the machine's main
work, and without metrics it decides nothing."""
REST = 90.0
"""Seconds without a write after which all has been said; more than `AUTOSCALERS`."""
READING = ("GET", "WATCH")
BESIDES = ("Lease", "Event")
"""Kinds that are written while nothing changes."""


@dataclass
class Fleet:
    """The objects, and what was seen of their children."""

    control_plane: ControlPlane
    server: ApiServer
    sightings: Sightings
    born: dict[str, float] = field(default_factory=dict)
    """When each object was sent to the API server."""

    def grow(self, size: int) -> list[float]:
        """Have that many objects; seconds from each new one's creation until all its children exist."""
        start, new = time.monotonic(), range(len(self.born), size)
        for nth, number in enumerate(new):
            time.sleep(max(0.0, start + nth / A_SECOND - time.monotonic()))  # the rate is what is asked for
            name = self.name(number)
            self.born[name] = time.monotonic()
            self.server.create(api(self.namespace(number), name, **SPEC))
        names = map(self.name, new)
        return [self.sightings.complete_at(name) - self.born[name] for name in names]

    def edit(self, number: int) -> float:
        """Change an object; when the change was seen to have reached its Service."""
        name = self.name(number)
        change = {"spec": {"service": {"port": random.randint(2000, 60000)}}}  # noqa: S311 - keeps no secret
        edited = self.server.patch(KIND, self.namespace(number), name, change)
        version = int(edited["metadata"]["resourceVersion"])
        at = eventually(lambda: self.sightings.since("Service", name, version), within=PATIENCE)
        assert at is not None
        return at

    @staticmethod
    def name(number: int) -> str:
        return f"load-{number}"

    @staticmethod
    def namespace(number: int) -> str:
        return f"load-{number % NAMESPACES}"


@contextmanager
def fleet(folder: Path) -> Iterator[Fleet]:
    """A control plane of its own, without objects."""
    up.bring_up_control_plane(tools.KWOK)
    with (
        ControlPlane(folder, autoscalers_looked_at_each=f"{AUTOSCALERS}s") as control_plane,
        fake_node(control_plane),
        ApiServer(control_plane.kubeconfig) as server,
    ):
        install(server, crd())
        for number in range(NAMESPACES):
            server.create({"kind": "Namespace", "metadata": {"name": Fleet.namespace(number)}})
        with Sightings(control_plane.kubeconfig, KINDS, MANAGED_SELECTOR) as sightings:
            yield Fleet(control_plane, server, sightings)


class Meter:
    """What a running operator costs, by its own metrics and the kernel's account."""

    def __init__(self, operator: OperatorProcess) -> None:
        self._operator = operator

    def resident_mebibytes(self) -> float:
        return float(psutil.Process(self._operator.pid).memory_info().rss) / 2**20

    def cpu_seconds(self) -> float:
        times = psutil.Process(self._operator.pid).cpu_times()
        return float(times.user + times.system)

    def total(self, name: str, **labels: str) -> float:
        """Sum of a metric over all of its labels but those given."""
        wanted = {f'{label}="{value}"' for label, value in labels.items()}
        return sum(value for given, value in self._series(name) if wanted <= set(given))

    def writes(self) -> float:
        """Mutating requests so far, but those of Leases and Events."""
        besides = {f'verb="{verb}"' for verb in READING} | {f'kind="{kind}"' for kind in BESIDES}
        return sum(value for given, value in self._series("hca_api_requests_total") if not besides & set(given))

    def _series(self, name: str) -> list[tuple[list[str], float]]:
        found = re.findall(rf"(?m)^{name}(?:\{{(.*)\}})? (\S+)$", self._operator.metrics())
        return [(labels.split(","), float(value)) for labels, value in found]
