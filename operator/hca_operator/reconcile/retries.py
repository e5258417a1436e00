"""Requests of a pass that failed and may succeed later: which are reported, and when each is tried again. Pure.

A failure that the next try cures is not worth a status: the pass is repeated at once. From the third try on, only the
child concerned is held back: the status reports the failure, everything else goes on, and tries become rare.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hca_operator.api.status import Problem, Reason
from hca_operator.core.errors import Contested, Forbidden, HcaError, NotOwned, Transient
from hca_operator.core.ports import Key

Slot = tuple[str, str]
"""Kind and name of a child; ("Pod", "") for the list of pods."""

REPORTED_AFTER = 3
"""Failed tries in a row after which the status reports a failure."""
LONGEST_RETRY_WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class Retry:
    """A failed request that is tried again."""

    tries: int
    at: float
    """Seconds since the epoch before which it is not tried again, unless the object is edited."""
    error: HcaError
    """The error of the last try."""


@dataclass
class RetryTracker:
    """The requests that failed in the latest pass over each object."""

    _retries: dict[Key, dict[Slot, Retry]] = field(default_factory=dict)

    def of(self, key: Key) -> Mapping[Slot, Retry]:
        """The failed requests of an object, by child."""
        return self._retries.get(key, {})

    def succeeded(self, key: Key, slot: Slot) -> None:
        """Drop the failures of a child that could be written, or failed for a reason that no retry cures."""
        retries = self._retries.get(key, {})
        retries.pop(slot, None)
        if not retries:
            self._retries.pop(key, None)

    def failed(self, key: Key, slot: Slot, error: HcaError, now: float) -> bool:
        """Record a failure. Returns whether the status reports it; if not, the pass is to be repeated."""
        if not isinstance(error, Transient):
            self.succeeded(key, slot)
            return True
        before = self.of(key).get(slot)
        if before is not None and before.error is error:
            return True  # not tried again since
        tries = 1 if before is None else before.tries + 1
        wait = min(LONGEST_RETRY_WAIT_SECONDS, 2.0 ** (tries - REPORTED_AFTER)) if tries >= REPORTED_AFTER else 0.0
        self._retries.setdefault(key, {})[slot] = Retry(tries, now + wait, error)
        return tries >= REPORTED_AFTER

    def forget(self, key: Key) -> None:
        """Drop the state of a deleted object."""
        self._retries.pop(key, None)


def problem_of(error: HcaError) -> Problem:
    """Reason and message of a condition for a request that failed."""
    if isinstance(error, NotOwned):
        return Problem(Reason.RESOURCE_CONFLICT, str(error))
    if isinstance(error, Contested):
        return Problem(Reason.FIELD_CONFLICT, str(error))
    if isinstance(error, Forbidden):
        return Problem(Reason.FORBIDDEN, f"the operator may not do this: {error}")
    if isinstance(error, Transient):
        return Problem(Reason.REQUEST_FAILED, f"a request to the API server fails and is repeated: {error}")
    return Problem(Reason.REJECTED, f"the API server refuses a request, or its answer is too large: {error}")
