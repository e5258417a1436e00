"""Entries of the stored status: conditions with their times, and errors of children. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from hca_operator.api.status import MAX_MESSAGE, ConditionType, Problem, Reason
from hca_operator.core.errors import correlation_id
from hca_operator.core.names import Manifest
from hca_operator.core.observed import condition
from hca_operator.core.timestamps import past_time_of, time_text


@dataclass(frozen=True)
class Verdict:
    """One condition without its times."""

    status: str
    reason: Reason
    message: str = ""


PAUSED = Verdict("Unknown", Reason.PAUSED, "spec.reconciliation is Paused: changes are not applied")


def not_applied(reason: Reason) -> Verdict:
    """What a condition cannot say, because the children are those of an earlier generation."""
    return Verdict("Unknown", reason, "the latest generation is not applied")


def entry(previous: Manifest, generation: int, kind: ConditionType, verdict: Verdict, now: datetime) -> Manifest:
    """A condition as it is stored: its transition time moves only when its status flips."""
    before = condition({"status": previous}, kind)
    same = before.get("status") == verdict.status
    return {
        "type": str(kind),
        "status": verdict.status,
        "observedGeneration": generation,
        "lastTransitionTime": _since(before if same else {}, "lastTransitionTime", now),
        "reason": str(verdict.reason),
        "message": verdict.message[:MAX_MESSAGE],
    }


def _since(before: Manifest, name: str, now: datetime) -> str:
    """The stored time as it is, `now` if it is missing or cannot be right: other clients may write the status."""
    return time_text(now) if past_time_of(before, name, now) is None else str(before[name])


def child_errors(previous: Manifest, problems: Mapping[tuple[str, str], Problem], now: datetime) -> Sequence[Manifest]:
    """status.childErrors: why children could not be read or written. `since` is kept while a child has an entry."""
    before = {(each.get("kind"), each.get("name")): each for each in previous.get("childErrors") or []}
    return [
        {
            "kind": kind,
            "name": name,
            "reason": str(problem.reason),
            "message": problem.message[:MAX_MESSAGE],
            "since": _since(before.get((kind, name), {}), "since", now),
        }
        for (kind, name), problem in sorted(problems.items(), key=lambda item: item[0])
    ]


def internal_error_status(previous: Manifest, generation: int, error: BaseException, now: datetime) -> Manifest:
    """The stored status with Ready False because of an unexpected error; its other conditions may be out of date.

    Its observedGeneration stays, so that the change that led to the error still counts as not applied.
    """
    message = (
        f"an internal error of the operator ({type(error).__name__}) keeps this object from being reconciled: its log "
        f"has the details under correlation_id {correlation_id(error)}; it is tried again at growing intervals"
    )
    verdicts = {
        ConditionType.READY: Verdict("False", Reason.INTERNAL_ERROR, message),
        ConditionType.RECONCILING: Verdict("True", Reason.INTERNAL_ERROR, message),
    }
    kept = [each for each in previous.get("conditions") or [] if each["type"] not in verdicts]
    failed = [entry(previous, generation, kind, verdict, now) for kind, verdict in verdicts.items()]
    return {**previous, "conditions": [*kept, *failed]}
