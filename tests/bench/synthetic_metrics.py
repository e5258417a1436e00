"""The metrics API as a process of its own with synthetic samples: what an answer costs, without scraping."""

import asyncio
import math
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from dev.control_plane import free_ports
from hca_operator.core.ports import Key
from hca_operator.kube.client import KubeClient
from hca_operator.metrics_server.pods.pod_polling import POD_POLL_SECONDS
from hca_operator.metrics_server.process import MetricsApi, Settings
from hca_operator.metrics_server.samples.exposition import PodSample
from hca_operator.metrics_server.samples.sample_store import SampleStore
from hca_operator.metrics_server.serving.server_metrics import ServerMetrics
from hca_operator.telemetry.logs import log_json
from tests.controlplane.operator_process import OperatorProcess

API = "shop"
"""Of each namespace."""
REQUESTS_PER_SECOND = 10


def namespace(number: int) -> str:
    """Each object has its own, the worst case for what is remembered of the callers' rights."""
    return f"load-{number}"


class SyntheticMetrics(OperatorProcess):
    """The metrics API against a kubeconfig."""

    def __init__(self, kubeconfig: Path, log: Path, *, namespace: str, name: str, objects: int) -> None:
        super().__init__(kubeconfig, log, forked=False)
        (self.port,) = free_ports(1)
        self._place = [namespace, name, str(objects)]

    def _command(self) -> Sequence[str]:
        return ["tests.bench.synthetic_metrics", *self._place, str(self.port), str(self._port)]


async def _add_samples(samples: SampleStore, clock: Callable[[], float], objects: int) -> None:
    """A sample of each pod every two seconds, one after the other."""
    keys = [Key(namespace(number), API) for number in range(objects)]
    for key in keys:
        samples.follow(key, ["pod"])
    start, reported = clock(), 0
    while True:
        requests = REQUESTS_PER_SECOND * clock()
        buckets = {0.1: requests * 0.9, 1.0: requests, math.inf: requests}
        samples.add(keys[reported % objects], "pod", PodSample(requests, buckets, in_flight=3, loop_lag=0.001))
        reported += 1
        await asyncio.sleep(max(0.0, start + reported * POD_POLL_SECONDS / objects - clock()))


async def _main(namespace: str, name: str, objects: str, port: str, telemetry_port: str) -> None:
    log_json("INFO")
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    metrics = ServerMetrics()
    kube = await KubeClient.connect(metrics.requests.observe)
    samples = SampleStore(loop.time)
    settings = Settings(namespace, name, int(port), int(telemetry_port))
    try:
        add = partial(_add_samples, samples, loop.time, int(objects))
        await MetricsApi(kube, metrics, settings, samples).run(stop, {"add": add})
    finally:
        await kube.close()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
