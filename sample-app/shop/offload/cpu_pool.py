"""CPU-bound work beside the event loop.

Work done in a coroutine stops every other request of the worker until it is over. In a thread
the loop stays free to answer them, but not for nothing: one process runs Python code in one
thread at a time (the GIL), and the loop gets its turn when the other thread's is up, 5 ms later
by default. So a thread keeps the loop alive and adds no speed. Speed comes from processes, one
per CPU: that is what the workers are. Libraries that let go of the GIL (compression, hashing,
numpy) do run beside the loop in a thread.

One thread per worker: more would not be faster, and each takes turns away from the loop.

SHOP_CPU_PROCESSES makes it a pool of processes: the loop then shares no GIL with the work and
keeps its 5 ms. It costs an interpreter's memory for each, and pays where the work is long and the
pod has CPUs beyond its workers. Processes start with the first work and are replaced after a while,
so that what leaks in them does not stay.
"""

import asyncio
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from shop.offload import cpu_work

_TASKS_PER_PROCESS = 1000


class CpuPool:
    """Where such work goes: one thread, or that many processes."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._executor: Executor | None = None

    async def burn(self, seconds: float) -> int:
        """Use that much CPU time, when it is its turn."""
        executor = self._executor = self._executor or self._new()
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, cpu_work.burn, seconds)
        except BrokenProcessPool:
            # A process was killed, mostly for its memory. What was under way is lost; the next work gets a new pool.
            if self._executor is executor:
                self._executor = None
            raise

    @contextmanager
    def closed_at_end(self) -> Iterator[None]:
        """End the threads and processes with the worker."""
        try:
            yield
        finally:
            if self._executor is not None:
                self._executor.shutdown(cancel_futures=True)

    def _new(self) -> Executor:
        if self._processes == 0:
            return ThreadPoolExecutor(max_workers=1, thread_name_prefix="cpu")
        # Spawned, not forked: a fork of a process with threads may inherit a lock that nobody will ever release.
        return ProcessPoolExecutor(
            self._processes,
            multiprocessing.get_context("spawn"),
            initializer=cpu_work.end_with_worker,
            max_tasks_per_child=_TASKS_PER_PROCESS,
        )
