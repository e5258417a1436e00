"""A connection to the API server that can be cut without being closed."""

import asyncio
import threading
from contextlib import suppress
from typing import Self

from dev.control_plane import HOST


class Partition:
    """Forwards to a port of this machine; while cut, nothing passes and neither side learns of it.

    What a client had sent into the cut and given up (its connection is closed by the end of the cut) is dropped, as
    a kernel does when TCP_USER_TIMEOUT is over.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._open = threading.Event()
        self._open.set()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._listening.wait()
        return self

    def __exit__(self, *_error: object) -> None:
        self.mend()
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._forward, HOST, 0)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        await self._stop.wait()
        server.close()

    def cut(self) -> None:
        """Let nothing through."""
        self._open.clear()

    def mend(self) -> None:
        """Let everything through again."""
        self._open.set()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection(HOST, self._target)
        await asyncio.gather(self._pump(reader, upstream_writer), self._pump(upstream_reader, writer))

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                while not self._open.is_set():
                    with suppress(TimeoutError):
                        async with asyncio.timeout(0.05):
                            if not (more := await source.read(65536)):
                                return
                            data += more
                target.write(data)
                await target.drain()
        except (ConnectionError, asyncio.CancelledError):
            return  # the other end, or the test, is done with it
        finally:
            target.close()
