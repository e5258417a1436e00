"""Restarts on memory, as status.memoryRestarts counts them: pure.

A count follows from the pods and the stored count: a kill is identified by its time, a replaced pod by its uid. So
nothing is counted twice, by any number of passes or processes, and nothing is kept in memory.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from hca_operator.api.status import MAX_REPLACED
from hca_operator.core.names import Manifest
from hca_operator.core.timestamps import past_time_of, time_text

OOM_KILLED = "OOMKilled"
REPLACED = "PodReplaced"
_COUNTERS = {"oomKills": OOM_KILLED, "pods": REPLACED}
COUNT_EACH = timedelta(seconds=30)
"""Minimum time between two counts: a container that is killed repeatedly must not cause a write each time."""
RECENT = timedelta(hours=1)
"""For how long after a kill MemoryHealthy is False."""


def count_kills(before: Manifest | None, pods: Iterable[Manifest], now: datetime) -> Manifest | None:
    """status.memoryRestarts with the out-of-memory kills of these pods.

    It is unchanged without a new kill, and within COUNT_EACH after the last count.
    """
    last = past_time_of(before, "oomKilledAt", now)
    if last is not None and now - last < COUNT_EACH:
        return before
    kills = sorted((at, pod) for at, pod in _kills(pods, now) if last is None or at > last)
    if not kills:
        return before
    at, pod = kills[-1]
    return {
        **_one_more(before, "oomKills", len(kills)),
        "oomKilledAt": time_text(at),
        "lastTime": time_text(at),
        "lastReason": OOM_KILLED,
        "lastPod": pod,
    }


def count_replaced(before: Manifest | None, pods: Iterable[Manifest], now: datetime) -> Manifest | None:
    """status.memoryRestarts with the replacement of these pods; unchanged if all of them were counted before."""
    known: list[str] = (before or {}).get("replacedUIDs") or []
    names = dict(sorted((pod["metadata"]["uid"], pod["metadata"]["name"]) for pod in pods)[:MAX_REPLACED])
    new = [uid for uid in names if uid not in known]
    if not new:
        return before
    # The uids of existing pods come last, so that they are not cut off, which would count them again.
    gone = [uid for uid in known if uid not in names]
    return {
        **_one_more(before, "pods", len(new)),
        "replacedAt": time_text(now),
        "replacedUIDs": [*gone, *(uid for uid in known if uid in names), *new][-MAX_REPLACED:],
        "lastTime": time_text(now),
        "lastReason": REPLACED,
        "lastPod": names[new[-1]],
    }


def killed_lately(counted: Manifest | None, now: datetime) -> bool:
    """Whether the kernel has ended a container within RECENT."""
    last = past_time_of(counted, "oomKilledAt", now)
    return last is not None and now - last < RECENT


def newly_counted(before: Manifest | None, after: Manifest | None) -> dict[str, int]:
    """By how many restarts of each reason `after` exceeds `before`."""
    more = {reason: _number(after, name) - _number(before, name) for name, reason in _COUNTERS.items()}
    return {reason: number for reason, number in more.items() if number > 0}


def _kills(pods: Iterable[Manifest], now: datetime) -> Iterable[tuple[datetime, str]]:
    """The last kill of each container, with the name of its pod."""
    for pod in pods:
        for container in pod.get("status", {}).get("containerStatuses") or []:
            for state in ("state", "lastState"):
                ended = container.get(state, {}).get("terminated") or {}
                if ended.get("reason") == OOM_KILLED and (at := past_time_of(ended, "finishedAt", now)):
                    yield at, pod["metadata"]["name"]


def _one_more(counted: Manifest | None, name: str, more: int = 1) -> Manifest:
    after = {**(counted or {}), name: _number(counted, name) + more}
    return {**after, "total": sum(_number(after, counter) for counter in _COUNTERS)}


def _number(counted: Manifest | None, name: str) -> int:
    value = (counted or {}).get(name)
    return value if isinstance(value, int) else 0
