"""Limits how many polls run at a time, in turn for each namespace and, within it, for each object (round robin).

A semaphore would serve polls in the order of arrival: an object with hundreds of slow pods would delay all others.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hca_operator.core.ports import Key

_Waiting = dict[str, dict[Key, deque[asyncio.Future[None]]]]


class Turns:
    """A semaphore that is fair to namespaces and objects."""

    def __init__(self, at_a_time: int, in_a_namespace: int | None = None) -> None:
        """`in_a_namespace`: how many of them may be of one namespace; None for all."""
        self._at_a_time = at_a_time
        self._in_a_namespace = in_a_namespace or at_a_time
        self._running = 0
        self._running_in: Counter[str] = Counter()
        self._waiting: _Waiting = {}
        """By namespace and object, in the order in which they are served."""

    @asynccontextmanager
    async def turn(self, api: Key) -> AsyncIterator[None]:
        """Wait for the turn of an object, and hold it within the context."""
        if self._free(api.namespace):
            self._begin(api.namespace)
        else:
            await self._wait(api)
        try:
            yield
        finally:
            self._end(api.namespace)

    def _free(self, namespace: str) -> bool:
        return self._running < self._at_a_time and self._running_in[namespace] < self._in_a_namespace

    def _begin(self, namespace: str) -> None:
        self._running += 1
        self._running_in[namespace] += 1

    async def _wait(self, api: Key) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(api.namespace, {}).setdefault(api, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # its turn came in the same moment
                self._end(api.namespace)
            raise

    def _end(self, namespace: str) -> None:
        self._running -= 1
        self._running_in[namespace] -= 1
        if not self._running_in[namespace]:
            del self._running_in[namespace]
        # A poll can only start when another one ends, so waiting polls are served here.
        while self._running < self._at_a_time and (served := next(filter(self._free, self._waiting), None)) is not None:
            self._serve(served)

    def _serve(self, namespace: str) -> None:
        """Serve the next poll of a namespace; then the namespace, and the object within it, are served last."""
        apis = self._waiting.pop(namespace)
        api = next(iter(apis))
        turns = apis.pop(api)
        turn = turns.popleft()
        if not turn.done():  # cancelled meanwhile
            turn.set_result(None)
            self._begin(namespace)
        if turns:
            apis[api] = turns
        if apis:
            self._waiting[namespace] = apis
