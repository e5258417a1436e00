"""Circuit breakers: who does not answer is not asked for a while.

Without one, each request waits out the time limit of a service that is down, and the worker fills
with requests that wait. After five failures in a row the breaker opens and calls fail at once;
after thirty seconds it is half open: a call that succeeds closes it, one that fails opens it again.
Five, since any network loses one or two; thirty seconds, since that is what it takes to replace a pod.

Each worker has breakers of its own: what one worker sees may be its own trouble. The metric shows
the worst of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from circuitbreaker import CircuitBreaker  # type: ignore[import-untyped]

from shop.observation.metrics import Metrics

FAILURES = 5
SECONDS = 30
_VALUES = {"closed": 0, "half_open": 1, "open": 2}


class OpenError(Exception):
    """The call was not made."""


class Breaker:
    """Guards the calls to one dependency."""

    def __init__(self, dependency: str, metrics: Metrics, *, seconds: float = SECONDS) -> None:
        self._breaker = CircuitBreaker(failure_threshold=FAILURES, recovery_timeout=seconds, name=dependency)
        self._state = metrics.breaker_state.labels(dependency)
        self._show()

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Make a call in the block, unless the breaker is open: then `OpenError`."""
        self._show()
        if self._breaker.opened:
            raise OpenError(self._breaker.name)
        try:
            with self._breaker:
                yield
        finally:
            self._show()

    def _show(self) -> None:
        self._state.set(_VALUES[self._breaker.state])
