from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hca_operator.core.errors import SpecError
from hca_operator.core.quantities import MEBIBYTE, decimal_text, parse_quantity
from hca_operator.desired.sizing import (
    SMALLEST_BUDGET_MIB,
    SMALLEST_NODE_BUDGET_MIB,
    SUPERVISOR_RESERVE_MIB,
    Sizing,
    size,
)
from tests.unit.operator.objects import resources, spec

millicores = st.integers(min_value=1, max_value=64_000)


def _suggested(error: SpecError) -> str:
    return str(error).split("use at least ")[1].split(",")[0]


@pytest.mark.parametrize(
    ("cpu", "workers", "rounded"),
    [
        ("1m", 1, None),
        ("500m", 1, None),
        ("999m", 1, None),
        (1, 1, None),
        ("1500m", 1, "1500m"),
        ("1.999", 1, "1999m"),
        (2, 2, None),
        ("2", 2, None),
        ("2000m", 2, None),
        ("2.5", 2, "2500m"),
        ("16", 16, None),
    ],
)
def test_fault_02_one_worker_for_each_whole_cpu_of_the_limit(cpu: Any, workers: int, rounded: str | None) -> None:
    sizing = size(spec(**resources(cpu, "8Gi")))
    assert (sizing.workers, sizing.cpu_rounded_down) == (workers, rounded)


def test_the_cpu_request_decides_where_there_is_no_limit() -> None:
    assert size(spec(**resources(None, "4Gi", cpu="3"))).workers == 3


@pytest.mark.parametrize(
    "written",
    [
        {"limits": {"memory": "512Mi"}},
        {"requests": {"memory": "256Mi"}},
        {"limits": {"memory": "512Mi", "cpu": None}, "requests": None},
        {"limits": {}},
        {},
    ],
    ids=str,
)
def test_fault_55_resources_without_any_cpu_keep_the_cpu_of_the_default(written: dict[str, Any]) -> None:
    """Without a request for CPU the autoscaler has nothing to compare with."""
    sizing = size(spec(resources=written))
    assert (sizing.resources.requests.cpu, sizing.resources.limits.cpu, sizing.workers) == ("250m", "1", 1)


@pytest.mark.parametrize(
    ("written", "requested", "limit"),
    [
        ({"limits": {"cpu": "2"}}, None, "2"),
        ({"requests": {"cpu": "500m"}}, "500m", None),
        ({"requests": {"cpu": "500m"}, "limits": {"cpu": "2"}}, "500m", "2"),
    ],
)
def test_a_cpu_that_is_written_is_taken_as_it_is(
    written: dict[str, Any], requested: str | None, limit: str | None
) -> None:
    resources = spec(resources=written).resources
    assert (resources.requests.cpu, resources.limits.cpu) == (requested, limit)


def test_the_worker_count_of_the_user_wins_and_is_never_called_rounded() -> None:
    sizing = size(spec(workers={"count": 3}, **resources("1500m", "1Gi")))
    assert (sizing.workers, sizing.cpu_rounded_down) == (3, None)


@pytest.mark.parametrize(
    ("fields", "rss"),
    [
        ({}, int((512 - SUPERVISOR_RESERVE_MIB) * 0.8)),
        ({"memoryRestart": {"worker": {"thresholdPercent": 100}}}, 512 - SUPERVISOR_RESERVE_MIB),
        ({"memoryRestart": {"worker": {"maxRSS": "200Mi"}}}, 200),
        ({"memoryRestart": {"mode": "Disabled", "worker": {"maxRSS": "200Mi"}}}, None),
    ],
)
def test_a_worker_is_replaced_at_its_share_of_the_memory(fields: dict[str, Any], rss: int | None) -> None:
    assert size(spec(**fields)).worker_max_rss == rss


@pytest.mark.parametrize(
    ("grace", "pre_stop", "kill"), [("5s", 3, 1), ("15s", 10, 3), ("60s", 40, 18), ("1h", 40, 3558)]
)
def test_pods_leave_the_balancer_then_finish_then_are_killed(grace: str, pre_stop: int, kill: int) -> None:
    sizing = size(spec(availability={"terminationGracePeriod": grace}))
    assert (sizing.pre_stop, sizing.worker_kill_timeout) == (pre_stop, kill)


@given(grace=st.integers(min_value=5, max_value=3600))
def test_the_server_always_ends_before_the_kubelet_kills_it(grace: int) -> None:
    sizing = size(spec(availability={"terminationGracePeriod": f"{grace}s"}))
    assert sizing.pre_stop >= 1
    assert sizing.worker_kill_timeout >= 1
    assert sizing.pre_stop + sizing.worker_kill_timeout < sizing.grace == grace


def test_a_rollout_may_take_as_long_as_a_pod_may_start() -> None:
    sizing = size(spec(health={"startupTimeout": "10m"}))
    assert sizing.startup_timeout == 600
    assert sizing.progress_deadline > sizing.startup_timeout


@given(st.tuples(millicores, millicores).map(sorted))
def test_more_cpu_never_gives_fewer_workers(cpus: list[int]) -> None:
    less, more = (size(spec(**resources(decimal_text(Decimal(cpu) / 1000), "1Ti"))) for cpu in cpus)
    assert 1 <= less.workers <= more.workers


@given(
    cpu=millicores,
    memory=st.integers(min_value=32, max_value=64 * 1024),
    percent=st.integers(min_value=10, max_value=100),
)
def test_workers_and_supervisor_fit_into_the_memory_or_the_field_is_named(cpu: int, memory: int, percent: int) -> None:
    fields = resources(f"{cpu}m", f"{memory}Mi") | {"memoryRestart": {"worker": {"thresholdPercent": percent}}}
    if Decimal(memory - SUPERVISOR_RESERVE_MIB) / max(1, cpu // 1000) < SMALLEST_BUDGET_MIB:
        with pytest.raises(SpecError, match=r"^spec\.resources\.limits\.memory: ") as refused:
            size(spec(**fields))
        size(spec(**fields | resources(f"{cpu}m", _suggested(refused.value))))
        return
    sizing = size(spec(**fields))
    assert sizing.worker_max_rss is not None
    assert sizing.worker_max_rss * sizing.workers + SUPERVISOR_RESERVE_MIB <= memory
    assert sizing.worker_max_rss >= SMALLEST_BUDGET_MIB * percent // 100


def test_the_smallest_memory_that_is_suggested_is_the_smallest_that_works() -> None:
    def sized(memory: str) -> Sizing:
        return size(spec(workers={"count": 4}, **resources("1", memory)))

    with pytest.raises(SpecError) as refused:
        sized("64Mi")
    least = _suggested(refused.value)
    assert sized(least).workers == 4
    with pytest.raises(SpecError):
        sized(str(int(parse_quantity(least)) - MEBIBYTE))


ONE_PER_POD = {"workers": {"placement": "OnePerPod"}}


def test_with_one_worker_in_each_pod_the_resources_go_into_as_many_shares() -> None:
    sizing = size(spec(**ONE_PER_POD, **resources("4", "2Gi", cpu="1", memory="1Gi")))
    share = sizing.resources.model_dump()
    assert share == {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}}
    assert sizing.workers == 1
    assert sizing.worker_max_rss == int((512 - SUPERVISOR_RESERVE_MIB) * 0.8)


def test_with_one_worker_all_in_all_a_pod_of_its_own_is_the_same_pod() -> None:
    assert size(spec(**ONE_PER_POD)) == size(spec())


@given(
    count=st.integers(min_value=1, max_value=64),
    cpu=millicores,
    memory=st.integers(min_value=32 * 1024**2, max_value=64 * 1024**3),
)
def test_the_shares_of_the_workers_are_no_less_than_the_whole(count: int, cpu: int, memory: int) -> None:
    workers = {"count": count, "placement": "OnePerPod"}
    fields = resources(f"{cpu}m", memory, cpu="1m", memory="32Mi")
    if memory < count * (SUPERVISOR_RESERVE_MIB + SMALLEST_BUDGET_MIB) * MEBIBYTE:
        with pytest.raises(SpecError, match=r"^spec\.resources\.limits\.memory: ") as refused:
            size(spec(workers=workers, **fields))
        size(spec(workers=workers, **resources(f"{cpu}m", _suggested(refused.value))))
        return
    share = size(spec(workers=workers, **fields)).resources
    for requested, limit in ((share.requests.cpu, share.limits.cpu), (share.requests.memory, share.limits.memory)):
        assert 0 < parse_quantity(requested or "") <= parse_quantity(limit or "")
    assert 0 <= parse_quantity(share.limits.cpu or "") * count - Decimal(cpu) / 1000 < Decimal(count) / 1000
    assert 0 <= parse_quantity(share.limits.memory) * count - memory < count * MEBIBYTE or count == 1


def test_a_part_of_a_cpu_that_gives_no_worker_is_reported_for_each_pod() -> None:
    sizing = size(spec(**ONE_PER_POD, **resources("2500m", "1Gi")))
    assert (sizing.workers, sizing.cpu_rounded_down) == (1, "1250m")


def test_a_threshold_that_no_pod_has_the_memory_for_is_refused() -> None:
    fields = {**ONE_PER_POD, **resources("2", "1Gi"), "memoryRestart": {"worker": {"maxRSS": "512Mi"}}}
    with pytest.raises(SpecError, match=r"^spec\.memoryRestart\.worker\.maxRSS: 512Mi must be less than the 512Mi"):
        size(spec(**fields))
    assert size(spec(**fields | {"memoryRestart": {"worker": {"maxRSS": "511Mi"}}})).worker_max_rss == 511


def test_a_worker_of_node_needs_more_memory_than_one_of_python() -> None:
    least = SUPERVISOR_RESERVE_MIB + SMALLEST_NODE_BUDGET_MIB
    with pytest.raises(SpecError, match=f"use at least {least}Mi"):
        size(spec(workers={"server": "Node"}, **resources("1", f"{least - 1}Mi")))
    assert size(spec(workers={"server": "Node"}, **resources("1", f"{least}Mi"))).worker_budget == 64
