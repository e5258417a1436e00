"""A queue of keys: each key at most once, never two at a time, failures again after a growing wait.

It knows nothing of Kubernetes. A key that is added while it is being worked on is worked on once more, since what
it stands for may have changed after it was read (the dirty and processing sets of client-go's workqueue).
"""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from hca_operator.core.errors import Conflict, HcaError, Transient

Key = TypeVar("Key")
FIRST_BACKOFF = 0.5
LONGEST_BACKOFF = 60.0
MOMENT = 0.5
"""Seconds within which what happens by itself is taken together: a rollout is a dozen events within one."""

logger = logging.getLogger(__name__)


async def _always() -> None:
    """Whoever works alone is always on turn."""


class WorkQueue(Generic[Key]):
    """Keys to be handled, by a bounded number of workers.

    The handler returns the seconds after which the key is to be looked at again, None for not before something
    happens. What it raises is retried with backoff, so one key that always fails never holds up another.
    """

    def __init__(self, *, jitter: Callable[[], float]) -> None:
        """`jitter` gives factors around 1, so that keys that failed together do not return together."""
        self._jitter = jitter
        self._ready: asyncio.PriorityQueue[tuple[bool, int, Key]] = asyncio.PriorityQueue()
        self._order = itertools.count()
        self._dirty: dict[Key, bool] = {}
        """Keys that are to be handled, and whether they are urgent."""
        self._processing: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}
        self.adds = 0
        self.retries = 0

    def add(self, key: Key, *, urgent: bool = False) -> None:
        """Have the key handled as soon as a worker is free; an urgent one before those that are not."""
        self.adds += 1
        if timer := self._timers.pop(key, None):
            timer.cancel()
        if key in self._dirty and (self._dirty[key] or not urgent):
            return
        self._dirty[key] = urgent
        if key not in self._processing:
            self._offer(key)

    def _offer(self, key: Key) -> None:
        # A key that became urgent stands in line twice: whoever comes second finds nothing to do.
        self._ready.put_nowait((not self._dirty[key], next(self._order), key))

    def add_soon(self, key: Key) -> None:
        """Have the key handled in a moment, once for all that happens until then."""
        if key not in self._dirty:
            self.add_after(key, MOMENT)

    def add_after(self, key: Key, seconds: float) -> None:
        """Have the key handled after a while, or earlier if that is asked for as well."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer and timer.when() <= loop.time() + seconds:
            return
        if timer:
            timer.cancel()
        self._timers[key] = loop.call_later(seconds, self.add, key)

    def depth(self) -> int:
        """Keys that wait for a worker."""
        return len(self._dirty)

    async def work(
        self, handle: Callable[[Key], Awaitable[float | None]], turn: Callable[[], Awaitable[None]] = _always
    ) -> None:
        """Handle keys for ever; run as many of these as keys may be handled at a time.

        `turn` is waited for before each: what is taken then is the most urgent, not what was there long before.
        """
        while True:
            await turn()
            _, _, key = await self._ready.get()
            if key not in self._dirty or key in self._processing:
                continue
            del self._dirty[key]
            self._processing.add(key)
            again: float | None = None
            try:
                again = await handle(key)
                self._failures.pop(key, None)
            except Transient as error:
                again = self._backoff(key, error.retry_after)
                # Where others write too, to be the slower one is daily business and nothing to warn of.
                level = logging.INFO if isinstance(error, Conflict) else logging.WARNING
                logger.log(level, "will try again: %s", error, extra={"object": str(key), "retry_in": again})
            except HcaError as error:
                # Not even a condition could be written, most likely for lack of rights: nothing unexpected.
                again = self._backoff(key, None)
                logger.warning("will try again: %s", error, extra={"object": str(key), "retry_in": again})
            except Exception:
                again = self._backoff(key, None)
                logger.exception("handling failed unexpectedly", extra={"object": str(key), "retry_in": again})
            finally:
                self._processing.discard(key)
                if key in self._dirty:
                    self._offer(key)
                elif again is not None:
                    self.add_after(key, again * self._jitter())

    def _backoff(self, key: Key, wished: float | None) -> float:
        self.retries += 1
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        return max(wished or 0, min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(failures - 1, 16)))
