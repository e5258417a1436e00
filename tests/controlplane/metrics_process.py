"""The metrics API as a process of its own, with readings and a clock that a test sets."""

import asyncio
import json
import math
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from dev.control_plane import free_ports
from hca_operator.core.errors import Transient
from hca_operator.kube.client import KubeClient
from hca_operator.kube.informer import EndlessBackoff
from hca_operator.metrics_server.inventory.inventory import api_informer
from hca_operator.metrics_server.process import MetricsApi, Settings
from hca_operator.metrics_server.samples.reading import Reading
from hca_operator.metrics_server.serving.bursts import BurstLoads
from hca_operator.metrics_server.serving.server_metrics import ServerMetrics
from hca_operator.telemetry.logs import log_json
from tests.controlplane.operator_process import OperatorProcess


@dataclass
class Written:
    """What is known, as a file has it, and how far its clock is from that of the machine."""

    path: Path

    def write(self, values: Mapping[str, float], *, days: float = 0) -> None:
        """Values by namespace/API/metric."""
        made = self.path.with_suffix(".new")
        made.write_text(json.dumps({"values": values, "days": days}))
        made.rename(self.path)

    def read(
        self,
        namespace: str,
        api: str,
        metric: str,
        now: datetime,
        *,
        window_seconds: float = math.inf,  # noqa: ARG002 - the file has no window
    ) -> Reading:
        """What the file has, at once."""
        values = json.loads(self.path.read_text())["values"]
        if (name := f"{namespace}/{api}/{metric}") not in values:
            raise Transient(f"no pod of {api} tells {metric}: wait until one does")
        return Reading(values[name], at=now, window=0)

    def now(self) -> datetime:
        """The time by the file's clock."""
        real = datetime.now(UTC)  # noqa: TID251 - the machine's clock, by which API servers judge certificates
        return real + timedelta(days=json.loads(self.path.read_text())["days"])


class MetricsProcess(OperatorProcess):
    """The metrics API against a kubeconfig."""

    def __init__(self, kubeconfig: Path, log: Path, written: Written, *, namespace: str, name: str) -> None:
        super().__init__(kubeconfig, log)
        (self.port,) = free_ports(1)
        self._place = [str(written.path), namespace, name]

    def _command(self) -> Sequence[str]:
        return ["tests.controlplane.metrics_process", *self._place, str(self.port), str(self._port)]


async def _main(path: str, namespace: str, name: str, port: str, telemetry_port: str) -> None:
    log_json("INFO")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    written, metrics = Written(Path(path)), ServerMetrics()
    kube = await KubeClient.connect(metrics.requests.observe)
    settings = Settings(namespace, name, int(port), int(telemetry_port))
    try:
        apis = api_informer(kube)
        loads = BurstLoads(apis, written.read)
        api = MetricsApi(kube, metrics, settings, written, now=written.now, signals=loads.signals)
        await api.run(stop, {"apis": partial(apis.run, EndlessBackoff())})
    finally:
        await kube.close()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
