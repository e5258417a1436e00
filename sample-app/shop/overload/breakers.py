"""Circuit breakers: a service that fails is not called for some time.

Without a breaker, each request waits for the time limit of a service that is down, and the worker fills with waiting
requests. After five failures in a row the breaker opens, and calls fail at once. After thirty seconds it is half open:
a successful call closes it, a failed one opens it again. Five, since any network loses a packet or two. Thirty
seconds, since the replacement of a pod takes as long.

Each worker has its own breakers: failures of one worker may have a local cause. The metric shows the worst state.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from circuitbreaker import CircuitBreaker  # type: ignore[import-untyped]

from shop.observation.metrics import Metrics

FAILURES = 5
OPEN_SECONDS = 30
_VALUES = {"closed": 0, "half_open": 1, "open": 2}


class OpenError(Exception):
    """The breaker is open, and the call was not made."""


class Breaker:
    """Guards the calls of one dependency; stays open for `seconds`."""

    def __init__(self, dependency: str, metrics: Metrics, *, seconds: float = OPEN_SECONDS) -> None:
        self._breaker = CircuitBreaker(failure_threshold=FAILURES, recovery_timeout=seconds, name=dependency)
        self._state = metrics.breaker_state.labels(dependency)
        self._update_metric()

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Count an exception of the block as a failure; raises `OpenError` instead of entering it while open."""
        self._update_metric()
        if self._breaker.opened:
            raise OpenError(self._breaker.name)
        try:
            with self._breaker:
                yield
        finally:
            self._update_metric()

    def _update_metric(self) -> None:
        self._state.set(_VALUES[self._breaker.state])
