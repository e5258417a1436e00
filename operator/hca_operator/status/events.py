"""Kubernetes Events for what `kubectl describe hcapi` should tell: a condition that flips, nothing else. Pure."""

import hashlib
from datetime import datetime
from typing import NamedTuple

from hca_operator.api.status import ConditionType, Reason
from hca_operator.core.names import FIELD_MANAGER, Manifest
from hca_operator.core.observed import condition

TOLD = (
    ConditionType.READY,
    ConditionType.AVAILABLE,
    ConditionType.SCALING_ACTIVE,
    ConditionType.TRAFFIC_READY,
    ConditionType.MEMORY_HEALTHY,
    ConditionType.ROLLOUT_HEALTHY,
)
"""Reconciling and Stalled flip together with Ready, and would tell the same twice."""
MAX_EVENT_MESSAGE = 1024
"""Longest message that the API server takes."""


class News(NamedTuple):
    """What is to be told."""

    warning: bool
    reason: str
    message: str


def events_of(obj: Manifest, status: Manifest, now: datetime, instance: str) -> list[Manifest]:
    """What is to be told of the change from the object's stored status to the next one."""
    flips = {kind: flipped for kind in TOLD if (flipped := _flipped(kind, obj, {"status": status}))}
    if flips.get(ConditionType.READY, {}).get("status") == "True":
        flips.pop(ConditionType.AVAILABLE, None)  # whoever is told that all pods are ready knows that they serve
    return [
        event(
            obj,
            News(
                warning=flipped["status"] == "False" and flipped["reason"] not in _PASSING,
                reason=flipped["reason"],
                message=flipped["message"] or f"{kind} is {flipped['status']}",
            ),
            now,
            instance,
        )
        for kind, flipped in flips.items()
    ]


_PASSING = frozenset({"RollingOut", "ScaledToZero", "NoPodsAvailable", "AutoscalingDisabled", "ReplacingPod"})
"""Reasons for which a False is nobody's fault."""


_FLOORS = frozenset({Reason.FALLBACK_IN_FORCE, Reason.BURST_IN_FORCE})
"""Reasons that tell of pods that the metrics alone would not have brought."""


def _flipped(kind: ConditionType, before: Manifest, after: Manifest) -> Manifest | None:
    """The condition, if there is something to tell of it.

    Ready tells each new reason, since its False has many; the others only that they turned, and when a fallback or a
    burst begins and ends. The first look at a new object tells only of what is wrong: that nothing serves yet is no
    news.
    """
    old, new = condition(before, kind), condition(after, kind)
    if not new:
        return None  # an internal error came before the first status
    if kind == ConditionType.READY:
        told = (old.get("status"), old.get("reason")) != (new["status"], new["reason"])
        return new if told and (old or new["reason"] not in _PASSING) else None
    turned = {old.get("status"), new["status"]} == {"True", "False"}
    other_floor = old.get("reason") != new["reason"] and not _FLOORS.isdisjoint({old.get("reason"), new["reason"]})
    return new if turned or other_floor else None


def event(obj: Manifest, news: News, now: datetime, instance: str) -> Manifest:
    """An Event about an object; the same words in the same second have the same name, so that no retry doubles it."""
    metadata = obj["metadata"]
    time = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    digest = hashlib.blake2b(
        f"{metadata['uid']} {news.reason} {news.message} {time}".encode(), digest_size=8
    ).hexdigest()
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata['name']}.{digest}", "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": obj["apiVersion"],
            "kind": obj["kind"],
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
        "type": "Warning" if news.warning else "Normal",
        "reason": news.reason,
        "message": news.message[:MAX_EVENT_MESSAGE],
        "source": {"component": FIELD_MANAGER},
        "reportingComponent": FIELD_MANAGER,
        "reportingInstance": instance,
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    }
