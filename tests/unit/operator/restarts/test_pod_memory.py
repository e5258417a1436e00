"""Which pods near their limit are to be replaced: by their own limit, and without page cache."""

from typing import Any

import pytest

from hca_operator.core.names import Manifest
from hca_operator.restarts.memory_trend import NearLimit
from hca_operator.restarts.pod_memory import DuePod, Measure, due_pod, held_bytes, limits_of, to_ask
from tests.unit.operator.restarts.test_memory import MIB, POLICY, history

FULL = NearLimit(POLICY, {"a": history(500, 500, 500), "b": history(480, 480, 480)})


def pod(name: str, *, spec: str | None = "512Mi", status: str | None = None) -> Manifest:
    def container(memory: str | None) -> list[Manifest]:
        resources: Manifest = {"resources": {"limits": {"memory": memory}}} if memory else {}
        return [{"name": "sidecar", "resources": {"limits": {"memory": "9Gi"}}}, {"name": "api", **resources}]

    return {
        "metadata": {"name": name},
        "spec": {"containers": container(spec)},
        "status": {"containerStatuses": container(status)},
    }


def judged(near: NearLimit, pods: list[Manifest], **held: int | None) -> DuePod | None:
    """Held in MiB."""
    return due_pod(near, pods, {name: None if found is None else found * MIB for name, found in held.items()})


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({}, 512 * MIB),
        ({"status": "1Gi"}, 1024 * MIB),
        ({"spec": "2Gi", "status": "1Gi"}, 1024 * MIB),
        ({"spec": None}, None),
    ],
)
def test_the_limit_of_a_pod_is_the_one_that_its_container_has_now(fields: dict[str, Any], limit: int | None) -> None:
    assert limits_of([pod("a", **fields)]).get("a") == limit


def test_a_pod_without_a_status_or_resources_has_no_limit_of_its_own() -> None:
    bare = {"metadata": {"name": "a"}, "status": {"containerStatuses": None}, "spec": {"containers": [{"name": "api"}]}}
    assert limits_of([bare, {"metadata": {"name": "b"}}]) == {}


def test_fault_49_a_pod_whose_limit_was_raised_is_not_asked_and_not_replaced() -> None:
    pods = [pod("a", status="1Gi"), pod("b")]
    assert [found["metadata"]["name"] for found in to_ask(FULL, pods)] == ["b"]
    assert judged(FULL, pods, b=480) == DuePod("b", Measure.WORKERS)
    near_its_own = NearLimit(POLICY, {"a": history(930, 930, 930)})
    assert judged(near_its_own, pods, a=930) == DuePod("a", Measure.WORKERS)


def test_fault_49_page_cache_replaces_no_pod() -> None:
    pods = [pod("a"), pod("b")]
    assert judged(FULL, pods, a=35 + 48, b=35 + 48) is None
    assert judged(FULL, pods, a=35 + 48, b=479) == DuePod("b", Measure.WORKERS)


def test_a_pod_whose_workers_grow_towards_the_limit_is_replaced_before() -> None:
    growing = NearLimit(POLICY, {"a": history(300, 330, 360, 390)})
    assert judged(growing, [pod("a")], a=380) == DuePod("a", Measure.WORKERS)
    assert judged(growing, [pod("a")], a=80) is None, "the cache grows"


def test_a_pod_whose_workers_expose_no_memory_is_judged_by_its_working_set() -> None:
    assert judged(FULL, [pod("a"), pod("b")], a=None) == DuePod("a", Measure.WORKING_SET)
    assert judged(FULL, [pod("a"), pod("b")]) is None, "none was asked"


def test_every_worker_has_to_expose_its_memory() -> None:
    assert held_bytes([100 * MIB, 120 * MIB], workers=2) == (100 + 120 + 48) * MIB
    assert held_bytes([100 * MIB], workers=2) is None
    assert held_bytes([], workers=1) is None
