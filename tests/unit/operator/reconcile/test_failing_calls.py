"""The reconcile loop against an API server in memory that fails on demand."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from hca_operator.core.errors import Forbidden, HcaError, Rejected, Transient
from hca_operator.core.names import Manifest
from tests.unit.operator.fake_cluster import FakeCluster, Slot
from tests.unit.operator.reconcile.passes import (
    API,
    AUTOSCALER,
    DEPLOYMENT,
    DISABLED,
    KEY,
    ROUTES,
    change,
    cluster_with,
    reconciler,
    settle,
)

CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "image": ({}, {"image": "registry.example.com/shop:2"}),
    "routes go": (ROUTES, {}),
    "routes come": ({}, ROUTES),
    "hand-over": (DISABLED, {}),
    "hand-back": ({}, DISABLED),
    "invalid": ({}, {"port": 0}),
    "valid again": ({"port": 0}, ROUTES),
    "paused": ({}, {"reconciliation": "Paused", "image": "registry.example.com/shop:2"}),
}


def _children(cluster: FakeCluster) -> dict[Slot, Manifest]:
    """The children without who owns which field, and without a count that is the autoscaler's."""
    children = {slot: stored for slot, stored in cluster.state().items() if slot != API}
    for stored in children.values():
        del stored["metadata"]["managedFields"]
    if AUTOSCALER in children:
        del children[DEPLOYMENT]["spec"]["replicas"]
    return children


@pytest.mark.parametrize("change_of", ["image", "routes go", "routes come", "hand-over", "hand-back", "valid again"])
async def test_fault_18_a_change_ends_where_a_fresh_start_ends(change_of: str) -> None:
    before, after = CHANGES[change_of]
    cluster = cluster_with(**before)
    looking = reconciler(cluster)
    await settle(cluster, looking)
    change(cluster, **after)
    await settle(cluster, looking)
    fresh = cluster_with(**after)
    await settle(fresh)
    assert _children(cluster) == _children(fresh)


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one call, and whether the operator is restarted then."""

    error: HcaError
    lose_answer: bool = False
    restart: bool = False


FAULTS = {
    "lost before it was carried out": Fault(Transient("connection reset")),
    "lost after it was carried out": Fault(Transient("time-out"), lose_answer=True),
    "restarted before it was carried out": Fault(Transient("killed"), restart=True),
    "restarted after it was carried out": Fault(Transient("killed"), lose_answer=True, restart=True),
    "refused": Fault(Rejected("exceeded quota")),
    "forbidden": Fault(Forbidden('cannot patch resource "deployments"')),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize(("before", "after"), [({}, {}), *CHANGES.values()], ids=["created", *CHANGES])
async def test_fault_21_a_failure_of_any_call_is_recovered_from(
    before: dict[str, Any], after: dict[str, Any], fault: Fault
) -> None:
    undisturbed, calls = await _changed(before, after, None, fault)
    for failing in range(calls):
        disturbed, _ = await _changed(before, after, failing, fault)
        assert disturbed == undisturbed, f"after the failure of call {failing}"


async def _changed(
    before: dict[str, Any], after: dict[str, Any], failing: int | None, fault: Fault
) -> tuple[dict[Slot, Manifest], int]:
    """State and number of calls after a change during which one call fails."""
    cluster = cluster_with(**before)
    looking = reconciler(cluster)
    if before != after:
        await settle(cluster, looking)
        change(cluster, **after)
    cluster.calls.clear()
    cluster.fail_at, cluster.error, cluster.lose_answer = failing, fault.error, fault.lose_answer
    with suppress(HcaError):
        await looking.reconcile(KEY)
    calls = len(cluster.calls)
    cluster.fail_at = None
    await settle(cluster, reconciler(cluster) if fault.restart else looking)
    return cluster.state(), calls
