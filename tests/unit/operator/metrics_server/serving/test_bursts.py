"""The signals of the objects with bursts, all at once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from itertools import repeat
from typing import Any

from hca_operator.core.names import KIND, Manifest
from hca_operator.metrics_server.inventory.inventory import api_informer
from hca_operator.metrics_server.samples.reading import Reading, Unknown
from hca_operator.metrics_server.serving.bursts import BurstLoads
from tests.unit.operator.objects import NAMESPACE, manifest

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RATE = {"name": "rps", "type": "RequestsPerSecond", "requestsPerSecond": {"targetPerPod": "50"}}
IN_FLIGHT = {"name": "inflight", "type": "Concurrency", "concurrency": {"targetPerWorker": 20}}
CPU = {"name": "cpu", "type": "CPU", "cpu": {}}


def api(name: str = "shop", **scaling: Any) -> Manifest:
    made = manifest(autoscaling={"metrics": [CPU, RATE, IN_FLIGHT], "burst": {"mode": "Enabled"}} | scaling)
    return {**made, "metadata": {**made["metadata"], "name": name, "resourceVersion": "1"}}


def read(namespace: str, name: str, metric: str, now: datetime) -> Reading:
    assert (namespace, now) == (NAMESPACE, NOW)
    if name == "silent":
        raise Unknown("no pod tells it")
    return Reading({"hca-requests-per-second": 230.25, "hca-concurrency": float("nan")}[metric], at=NOW, window=3.2)


class Source:
    """One list, some events, and then silence."""

    def __init__(self, listed: Sequence[Manifest], events: Sequence[tuple[str, Manifest]]) -> None:
        self._listed = listed
        self._events = events
        self.silent = asyncio.Event()

    async def pages(self, kind: str, namespace: str, **selectors: str) -> AsyncIterator[tuple[Sequence[Manifest], int]]:
        assert (kind, namespace, selectors) == (KIND, "", {})
        yield self._listed, 1

    async def watch(
        self, kind: str, namespace: str, version: int, **selectors: str
    ) -> AsyncIterator[tuple[str, Manifest]]:
        assert (kind, namespace, version, selectors) == (KIND, "", 1, {})
        for event in self._events:
            yield event
        self.silent.set()
        await asyncio.Event().wait()


async def loads(*listed: Manifest, events: Sequence[tuple[str, Manifest]] = ()) -> BurstLoads:
    """What is followed after these."""
    source = Source(listed, events)
    apis = api_informer(source)
    watch = BurstLoads(apis, read)
    watching = asyncio.create_task(apis.run(repeat(0)))
    await source.silent.wait()
    watching.cancel()
    return watch


def names(watch: BurstLoads) -> list[str]:
    return [signal["metadata"]["name"] for signal in watch.signals(NOW)]


async def test_each_is_listed_with_its_value_now_and_what_is_not_known_is_left_out() -> None:
    (reported,) = (await loads(api(), api("silent"))).signals(NOW)
    assert reported == {
        "metadata": {"namespace": NAMESPACE, "name": "shop"},
        "metricName": "hca-requests-per-second",
        "metricLabels": {"hca-operator.io/api": "shop"},
        "timestamp": "2026-01-02T03:04:05Z",
        "window": 4,
        "value": "230250m",
    }


async def test_objects_that_do_not_follow_bursts_are_left_out() -> None:
    others = [
        api("off", burst={"mode": "Disabled"}), api("absent", burst=None), api("held", mode="Disabled"),
        api("cpu", metrics=[CPU]), {**api("odd"), "spec": {}},
    ]  # fmt: skip
    assert names(await loads(api(), *others)) == ["shop"]


async def test_what_changes_is_followed() -> None:
    off = api(burst={"mode": "Disabled"})
    assert names(await loads(api(), events=(("MODIFIED", off),))) == []
    assert names(await loads(off, events=(("MODIFIED", api()),))) == ["shop"]
    assert names(await loads(api(), events=(("DELETED", api()),))) == []
    assert names(await loads(events=(("ADDED", api()),))) == ["shop"]
