"""A queue of keys: each key is in it at most once, is handled by one worker at a time, and is retried with backoff.

It knows nothing of Kubernetes. A key that is added while it is handled is handled once more, since the object may have
changed after it was read (the dirty and processing sets of client-go's workqueue).

Keys of one tenant take turns with those of others, so one with a thousand keys to be handled holds up none (start-time
fair queueing): each key is given a turn, one after the last of its tenant and after the one that is being served. Nor
has one tenant all workers at a time, so its keys may take long.
"""

import asyncio
import heapq
import itertools
import logging
import math
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from hca_operator.core.errors import Conflict, HcaError, Transient
from hca_operator.kube.faults import OUR_OWN, report_error

K = TypeVar("K")
_Turn = tuple[bool, int, int, K]
"""Whether it is not urgent, its turn, its number in the order of arrival, and the key."""
FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 60.0
LONGEST_INTERNAL_BACKOFF_SECONDS = 600.0
"""After unexpected errors, which a retry usually does not cure."""
LONGEST_WISH_SECONDS = 300.0
"""That a server may hold off the next try."""
COALESCE_SECONDS = 0.5
"""For how long `add_coalesced` collects events: a rollout is a dozen of them within a second."""

logger = logging.getLogger(__name__)


async def _at_once() -> None:
    """Without a leader election, a key may be handled at any time."""


class WorkQueue(Generic[K]):
    """Keys to be handled, by a bounded number of workers.

    The handler returns the seconds after which the key has to be handled again, None for not before it is added. After
    an exception the key is retried with backoff, so one key that always fails never holds up another.
    """

    def __init__(
        self,
        *,
        jitter: Callable[[], float],
        tenant_of: Callable[[K], Hashable] = lambda _key: None,
        most_of_a_tenant: float = math.inf,
    ) -> None:
        """`jitter` returns a factor around 1 for retries: keys that failed together are not retried together.

        `most_of_a_tenant`: how many keys of one tenant are handled at a time.
        """
        self._jitter = jitter
        self._tenant_of = tenant_of
        self._most_of_a_tenant = most_of_a_tenant
        self._ready: asyncio.PriorityQueue[_Turn[K]] = asyncio.PriorityQueue()
        self._held_back: defaultdict[Hashable, list[_Turn[K]]] = defaultdict(list)
        """Turns that have come while as many keys of their tenant were handled as may be; a heap."""
        self._serving: Counter[bool] = Counter()
        """The turn of the last key that was taken, of keys that are not urgent (True) and of urgent ones."""
        self._turns: dict[tuple[bool, Hashable], int] = {}
        """The last turn of each tenant that has one to come."""
        self._order = itertools.count()
        self._dirty: dict[K, bool] = {}
        """Keys that wait, and whether they are urgent."""
        self._processing: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self.adds = 0
        self.retries = 0

    def add(self, key: K, *, urgent: bool = False) -> None:
        """Queue the key; a worker takes urgent keys before the others."""
        self.adds += 1
        if timer := self._timers.pop(key, None):
            timer.cancel()
        if key in self._dirty and (self._dirty[key] or not urgent):
            return
        self._dirty[key] = urgent
        if key not in self._processing:
            self._offer(key)

    def _offer(self, key: K) -> None:
        # A key that becomes urgent is in the queue twice; the worker that takes it second finds nothing to do.
        later = not self._dirty[key]
        of = later, self._tenant_of(key)
        self._turns[of] = turn = 1 + max(self._serving[later], self._turns.get(of, 0))
        self._ready.put_nowait((later, turn, next(self._order), key))

    async def _take(self) -> K:
        """Wait for the next key of a tenant of whom another one may be handled."""
        while True:
            later, turn, nth, key = await self._ready.get()
            tenant = self._tenant_of(key)
            if sum(self._tenant_of(each) == tenant for each in self._processing) >= self._most_of_a_tenant:
                heapq.heappush(self._held_back[tenant], (later, turn, nth, key))
                continue
            self._serving[later] = turn
            if self._turns.get((later, tenant)) == turn:
                del self._turns[later, tenant]
            return key

    def _let_next(self, tenant: Hashable) -> None:
        """Another key of a tenant may be handled."""
        if held_back := self._held_back.get(tenant):
            self._ready.put_nowait(heapq.heappop(held_back))
        else:
            self._held_back.pop(tenant, None)

    def add_coalesced(self, key: K) -> None:
        """Queue the key after COALESCE_SECONDS, once for all events until then."""
        if key not in self._dirty:
            self.add_after(key, COALESCE_SECONDS)

    def add_after(self, key: K, seconds: float) -> None:
        """Queue the key after some seconds, unless it is queued earlier for another reason."""
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
        self, handle: Callable[[K], Awaitable[float | None]], may_start: Callable[[], Awaitable[None]] = _at_once
    ) -> None:
        """Handle keys until cancelled; run as many of these as keys may be handled at a time.

        `may_start` is awaited before a key is taken, so that the most urgent one of that time is taken.
        """
        while True:
            await may_start()
            key = await self._take()
            tenant = self._tenant_of(key)
            if key not in self._dirty or key in self._processing:
                self._let_next(tenant)
                continue
            del self._dirty[key]
            self._processing.add(key)
            requeue_after: float | None = None
            try:
                requeue_after = await handle(key)
                self._failures.pop(key, None)
            except Transient as error:
                requeue_after = self._backoff(key, error.retry_after)
                # Where others write the same object, a conflict is normal and needs no warning.
                level = logging.INFO if isinstance(error, Conflict) else logging.WARNING
                logger.log(level, "will try again: %s", error, extra={"object": str(key), "retry_in": requeue_after})
            except HcaError as error:
                # Not even a condition could be written, most likely because of missing rights: nothing unexpected.
                requeue_after = self._backoff(key, None)
                logger.warning("will try again: %s", error, extra={"object": str(key), "retry_in": requeue_after})
            except OUR_OWN:
                raise
            except BaseException as error:
                requeue_after = self._backoff(key, None, longest=LONGEST_INTERNAL_BACKOFF_SECONDS)
                report_error(error, "reconcile", object=str(key), retry_in=requeue_after)
            finally:
                self._processing.discard(key)
                self._let_next(tenant)
                if key in self._dirty:
                    self._offer(key)
                elif requeue_after is not None:
                    self.add_after(key, requeue_after)

    def _backoff(self, key: K, retry_after: float | None, *, longest: float = LONGEST_BACKOFF_SECONDS) -> float:
        self.retries += 1
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        wish = min(retry_after or 0.0, LONGEST_WISH_SECONDS)
        backoff = min(longest, FIRST_BACKOFF_SECONDS * 2.0 ** min(failures - 1, 16))
        # Retries alone have jitter, as keys that failed together must not be retried together.
        return max(wish, backoff) * self._jitter()
