"""Kubernetes Events, which `kubectl describe hcapi` shows: one for each condition that flips. Pure."""

import hashlib
from datetime import datetime
from typing import NamedTuple

from hca_operator.api.status import ConditionType, Reason
from hca_operator.core.names import FIELD_MANAGER, Manifest
from hca_operator.core.observed import condition

EVENT_CONDITIONS = (
    ConditionType.READY,
    ConditionType.AVAILABLE,
    ConditionType.SCALING_ACTIVE,
    ConditionType.TRAFFIC_READY,
    ConditionType.MEMORY_HEALTHY,
    ConditionType.ROLLOUT_HEALTHY,
)
"""Conditions that cause Events. Reconciling and Stalled flip together with Ready, and would repeat its Events."""
MAX_EVENT_MESSAGE = 1024
"""Characters of the longest message that the API server accepts in an Event."""


class EventText(NamedTuple):
    """Type (Warning or Normal), reason and message of an Event."""

    warning: bool
    reason: str
    message: str


def events_of(obj: Manifest, status: Manifest, now: datetime, instance: str) -> list[Manifest]:
    """The Events about the change from the object's stored status to the next one, as manifests of v1 Events."""
    flips = {kind: flipped for kind in EVENT_CONDITIONS if (flipped := _flipped(kind, obj, {"status": status}))}
    if flips.get(ConditionType.READY, {}).get("status") == "True":
        flips.pop(ConditionType.AVAILABLE, None)  # Ready implies Available
    return [
        event(
            obj,
            EventText(
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
"""Reasons for which False is a normal, temporary state: their Events are of type Normal."""


_FLOORS = frozenset({Reason.FALLBACK_IN_FORCE, Reason.BURST_IN_FORCE})
"""Reasons of ScalingActive while a floor, and not the metrics alone, decides the number of pods."""


def _flipped(kind: ConditionType, before: Manifest, after: Manifest) -> Manifest | None:
    """The next condition if it is worth an Event, else None.

    Ready causes an Event for each new reason, since its False has many; the others only when their status flips, and
    when a fallback or a burst begins or ends. The first status of a new object causes Events only for problems: that
    no pod is ready yet is normal.
    """
    old, new = condition(before, kind), condition(after, kind)
    if not new:
        return None  # an internal error came before the first status
    if kind == ConditionType.READY:
        changed = (old.get("status"), old.get("reason")) != (new["status"], new["reason"])
        return new if changed and (old or new["reason"] not in _PASSING) else None
    turned = {old.get("status"), new["status"]} == {"True", "False"}
    other_floor = old.get("reason") != new["reason"] and not _FLOORS.isdisjoint({old.get("reason"), new["reason"]})
    return new if turned or other_floor else None


def event(obj: Manifest, text: EventText, now: datetime, instance: str) -> Manifest:
    """An Event about an object. The same text in the same second has the same name, so that a retry adds no other."""
    metadata = obj["metadata"]
    time = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    digest = hashlib.blake2b(
        f"{metadata['uid']} {text.reason} {text.message} {time}".encode(), digest_size=8
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
        "type": "Warning" if text.warning else "Normal",
        "reason": text.reason,
        "message": text.message[:MAX_EVENT_MESSAGE],
        "source": {"component": FIELD_MANAGER},
        "reportingComponent": FIELD_MANAGER,
        "reportingInstance": instance,
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    }
