"""Write-behind: collect in memory, and write many entries at once at regular intervals instead of for each request."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Never


@asynccontextmanager
async def written_each(seconds: float, write: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Call `write` every so many seconds, and once more at the end of the block."""
    writing = asyncio.create_task(_write_for_ever(seconds, write))
    try:
        yield
    finally:
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing
        await write()


async def _write_for_ever(seconds: float, write: Callable[[], Awaitable[None]]) -> Never:
    while True:
        await write()
        await asyncio.sleep(seconds)
