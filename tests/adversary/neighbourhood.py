"""An install of the chart with twenty honest objects, on a control plane of its own; its parts are real.

But for the kubelet and the pods: these are reported ready at an address of this machine.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from dev import up
from dev.control_plane import HOST, ControlPlane
from hca_operator.api.crd import crd
from hca_operator.core.names import API_LABEL
from hca_operator.core.timestamps import parse_time
from hca_operator.desired.metadata import MANAGED_SELECTOR
from tests.adversary.guard import Guard, Guarded, limit_bytes
from tests.adversary.hostile_pods import IN_FLIGHT
from tests.bench.sightings import Sightings
from tests.controlplane import test_metrics_api as metrics_api
from tests.controlplane.api_server import ApiServer, eventually
from tests.controlplane.fake_kubelet import report_ready
from tests.controlplane.objects import KIND, api, condition_of, install
from tests.controlplane.operator_process import OperatorProcess
from tests.controlplane.test_load_to_replicas import WholeProcess
from tests.controlplane.test_rights import installed

OWN = "hca-system"
"""Namespace of the install."""
NEIGHBOURS = 20
NAMESPACES = 4
PATIENCE = 60.0
"""Seconds in which a change has reached the children for sure. No figure, only an end."""
OLDEST_SECONDS = 30.0
"""Seconds: a metric that is older counts as unknown."""
CONCURRENCY = {"name": "inflight", "type": "Concurrency", "concurrency": {"targetPerWorker": 20}}


@dataclass
class Neighbourhood:
    """What runs, and what was seen of it."""

    control_plane: ControlPlane
    server: ApiServer
    sightings: Sightings
    guard: Guard
    another_replica: Callable[[str], AbstractContextManager[Guard]]
    """Starts a process more of each, by a name, and ends them."""
    seconds: list[float] = field(default_factory=list)
    """Of each edit, until it has reached the Service."""
    reads: list[float] = field(default_factory=list)
    """Seconds of a plain read before each edit: what the API server itself takes."""

    def edit(self, number: int) -> None:
        """Change an honest object, and wait until the change has reached its Service."""
        namespace, name = _place(number)
        change = {"spec": {"service": {"port": random.randint(2000, 60000)}}}
        began = time.monotonic()
        self.server.get(KIND, namespace, name)
        self.reads.append(time.monotonic() - began)
        began = time.monotonic()
        edited = self.server.patch(KIND, namespace, name, change)
        version = int(edited["metadata"]["resourceVersion"])
        at = eventually(lambda: self.sightings.since("Service", name, version), within=PATIENCE)
        assert at is not None
        self.seconds.append(at - began)

    def converge(self) -> None:
        """Wait until all honest objects are as they are to be."""
        for number in range(NEIGHBOURS):
            eventually(lambda: self._is_ready(number), within=PATIENCE)  # noqa: B023 - it is called at once

    def read_metric(self, number: int) -> bool:
        """Ask for a metric of an honest object as its autoscaler does: it must be true and fresh."""
        namespace, name = _place(number)
        path = "hca-concurrency"
        answer = self.server.answer("GET", "ExternalMetric", namespace, path, labelSelector=f"{API_LABEL}={name}")
        assert answer.is_success, answer.text
        (item,) = answer.json()["items"]
        age = (datetime.now(UTC) - parse_time(item["timestamp"])).total_seconds()  # noqa: TID251 - of the same clock
        assert item["value"] == f"{1000 * IN_FLIGHT}m", item
        assert age < OLDEST_SECONDS, f"{name}: {age:.0f} s old"
        return True

    def _make(self, port: int) -> None:
        for number in range(NEIGHBOURS):
            scaling = {"minReplicas": 1, "metrics": [CONCURRENCY]}
            self.server.create(api(*_place(number), monitoring={"port": port}, autoscaling=scaling))

    def _is_ready(self, number: int) -> bool:
        namespace, name = _place(number)
        selector = f"{API_LABEL}={name}"
        for pod in self.server.find("Pod", namespace, labelSelector=selector):
            if "podIP" not in pod["status"]:
                status = {"podIP": HOST, "podIPs": [{"ip": HOST}]}
                self.server.patch("Pod", namespace, f"{pod['metadata']['name']}/status", {"status": status})
        report_ready(self.server, namespace, selector)
        return bool(condition_of(self.server, namespace, "Ready", "RolledOut", name=name))


def _place(number: int) -> tuple[str, str]:
    return f"honest-{number % NAMESPACES}", f"honest-{number}"


@contextmanager
def neighbourhood(folder: Path, port: int) -> Iterator[Neighbourhood]:
    """All of it, with the honest objects converged. `port`: where their pods show their metrics."""
    up.bring_up_control_plane()
    (own := folder / "control-plane").mkdir(parents=True)
    with (
        ControlPlane(own) as control_plane,
        ApiServer(control_plane.kubeconfig) as server,
    ):
        install(server, crd())
        for name in (OWN, *(f"honest-{number}" for number in range(NAMESPACES))):
            server.create({"kind": "Namespace", "metadata": {"name": name}})
        with (
            metrics_api.installed(server, control_plane, OWN, folder) as of_metrics,
            installed(control_plane, OWN) as account,
            Sightings(control_plane.kubeconfig, ["Service"], MANAGED_SELECTOR) as sightings,
        ):
            users = {"operator": account.name, "metrics API": of_metrics.account.name}
            options = [*account.options, "--custom-queries"]

            def start(replica: str) -> AbstractContextManager[Guard]:
                paths = {name: control_plane.kubeconfig_for(user) for name, user in users.items()}
                logs = {name: folder / f"{replica} {name}.log" for name in users}
                operator = OperatorProcess(
                    paths["operator"], logs["operator"], identity=replica, lease_namespace=OWN, options=options,
                    forked=False,
                )  # fmt: skip
                metrics = WholeProcess(of_metrics, paths["metrics API"], logs["metrics API"])
                return _replica(
                    Guarded("operator", operator, logs["operator"], limit_bytes()),
                    Guarded("metrics API", metrics, logs["metrics API"], limit_bytes("externalMetrics")),
                )

            with start("first") as guard:
                made = Neighbourhood(control_plane, server, sightings, guard, start)
                made._make(port)
                made.converge()
                eventually(lambda: metrics_api.available(server), within=metrics_api.AVAILABLE_WITHIN_SECONDS)
                for number in range(NEIGHBOURS):
                    eventually(lambda: made.read_metric(number), within=PATIENCE)  # noqa: B023 - at once
                guard.check()
                yield made


@contextmanager
def _replica(operator: Guarded, metrics: Guarded) -> Iterator[Guard]:
    """One process of each, guarded from their start."""
    with ExitStack() as running:
        for each in (operator, metrics):
            running.callback(each.process.end)
            each.process.start(wait=False)
        guard = running.enter_context(Guard((operator, metrics)))
        for each in (operator, metrics):
            eventually(lambda: each.process.probe("readyz") == 200, within=PATIENCE)  # noqa: B023 - at once
        guard.check()
        yield guard
