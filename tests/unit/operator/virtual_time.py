"""Time that passes only when nothing else is left to do, so that waits of minutes take no time and never race."""

import asyncio
import selectors
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

T = TypeVar("T")


class _Clock(selectors.SelectSelector):
    """Moves the clock on instead of waiting."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("everything waits for something that never happens")
        self.now += timeout
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = _Clock()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a loop whose clock starts at 0."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(main)


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """While something goes on that must not end by itself."""
    going_on = asyncio.create_task(work)
    try:
        yield
        assert not going_on.done()
    finally:
        going_on.cancel()
        with suppress(asyncio.CancelledError):
            await going_on
