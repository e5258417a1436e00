"""An error in the reconcile of one object is reported and retried at growing intervals; others are not affected."""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

import pytest

from hca_operator.controller.metrics import OperatorMetrics
from hca_operator.controller.work_queue import WorkQueue
from hca_operator.controller.worker import Worker
from hca_operator.core.names import KIND
from hca_operator.core.observed import condition
from hca_operator.core.ports import Key
from hca_operator.kube.leader_election import Candidate, Leader
from hca_operator.reconcile import reconciler as reconciler_module
from hca_operator.reconcile.resolve import resolve
from tests.unit.operator.fake_cluster import FakeCluster
from tests.unit.operator.objects import NAME, NAMESPACE, manifest
from tests.unit.operator.panic import PanicException
from tests.unit.operator.reconcile.passes import reconciler
from tests.unit.operator.virtual_time import run

SHOP, CART = Key(NAMESPACE, NAME), Key(NAMESPACE, "cart")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Leading(Leader):
    """Always the leader."""

    async def leading(self) -> None:
        pass


async def at_once() -> None:
    pass


def test_fault_40_an_object_that_breaks_the_reconcile_is_reported_and_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cluster, broken = FakeCluster(), True
    cluster.put(manifest())
    cart = manifest()
    cluster.put({**cart, "metadata": {**cart["metadata"], "name": "cart", "uid": "of-cart"}})

    def breaks(stored: Any, *others: Any) -> Any:
        if broken and stored["metadata"]["name"] == NAME:
            raise PanicException("a parser gave up")
        return resolve(stored, *others)

    monkeypatch.setattr(reconciler_module, "resolve", breaks)

    def ready(name: str) -> dict[str, Any]:
        return condition(cluster.objects[KIND, NAMESPACE, name], "Ready")

    async def main() -> None:
        nonlocal broken
        queue: WorkQueue[Key] = WorkQueue(jitter=lambda: 1.0)
        metrics = OperatorMetrics()
        leader = Leading(cluster, Candidate("operators", "hca", "a"), now=lambda: NOW)  # type: ignore[arg-type]
        worker = Worker(reconciler(cluster), leader, metrics, memory_read=at_once)
        queue.add(SHOP)
        queue.add(CART)
        tasks = [asyncio.create_task(queue.work(worker.handle)) for _ in range(2)]
        await asyncio.sleep(3600)
        assert not any(task.done() for task in tasks), "a worker ended"
        assert ready("cart")["reason"] == "RollingOut"
        (record,) = {entry.__dict__["correlation_id"] for entry in caplog.records if entry.levelno == logging.ERROR}
        assert (ready(NAME)["status"], ready(NAME)["reason"]) == ("False", "InternalError")
        assert record in ready(NAME)["message"]
        assert "PanicException" in ready(NAME)["message"]
        tries = [entry for entry in caplog.records if entry.__dict__.get("work") == "reconcile"]
        assert 10 < len(tries) < 20, "ever more slowly"
        assert cluster.writes.count("apply HighConcurrencyApi shop/status") == 1
        for name in (NAME, "cart"):
            labels = {"namespace": NAMESPACE, "name": name, "type": "Ready", "status": "False"}
            assert metrics.registry.get_sample_value("hca_conditions", labels) == 1
        assert "observedGeneration" not in cluster.objects[KIND, NAMESPACE, NAME]["status"]
        broken = False
        queue.add(SHOP)
        await asyncio.sleep(1)
        assert ready(NAME)["reason"] == "RollingOut"
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run(main())
