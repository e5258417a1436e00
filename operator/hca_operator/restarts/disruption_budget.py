"""What keeps a pod from being evicted: the disruption budgets that select it. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from hca_operator.core.names import EVICTION_ANNOTATION, Manifest
from hca_operator.core.observed import is_ours, serves
from hca_operator.core.selectors import selects
from hca_operator.core.timestamps import past_time_of

CHANGE_EACH = timedelta(seconds=30)
"""Minimum time between two changes of a pod for this: whatever changes, a budget keeps its old numbers for as long as a
selected pod names a controller that Kubernetes cannot read."""


def others(budgets: Iterable[Manifest], pod: Manifest, owner_uid: str) -> list[str]:
    """Names of the budgets beside the object's own that select a pod."""
    return sorted(
        budget["metadata"]["name"] for budget in budgets if not is_ours(budget, owner_uid) and _selects(budget, pod)
    )


def is_outdated(budgets: Iterable[Manifest], pod: Manifest, pods: Sequence[Manifest], now: datetime) -> bool:
    """Whether the one budget that selects a pod counts fewer of an object's pods as healthy than serve.

    Not within CHANGE_EACH after the pod was changed for it.

    Kubernetes computes a budget anew when a pod changes, but of several that select the pod only one. Where that was
    another one, which has been deleted since, the budget keeps its old numbers until a pod changes again
    (`getPdbForPod` in kubernetes/pkg/controller/disruption/disruption.go).
    """
    changed = past_time_of(pod["metadata"].get("annotations"), EVICTION_ANNOTATION, now)
    if changed is not None and now - changed < CHANGE_EACH:
        return False
    selecting = [budget for budget in budgets if _selects(budget, pod)]
    if len(selecting) != 1:
        return False
    healthy = sum(serves(each) and _selects(selecting[0], each) for each in pods)
    return bool(selecting[0].get("status", {}).get("currentHealthy", 0) < healthy)


def _selects(budget: Manifest, pod: Manifest) -> bool:
    return selects(budget["spec"].get("selector"), pod["metadata"]["labels"])
