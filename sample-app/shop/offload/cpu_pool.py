"""CPU-bound work outside of the event loop.

CPU-bound work in a coroutine blocks every other request of the worker. In a thread, the loop goes on, but more slowly:
a process runs Python code in one thread at a time (the GIL), and the loop may have to wait 5 ms for the other thread.
So a thread keeps the loop responsive and adds no speed. Speed needs processes, one for each CPU, which the workers are.
Libraries that release the GIL (compression, hashing, numpy) do run in parallel to the loop in a thread.

One thread per worker: more would not be faster, and each would delay the loop.

SHOP_CPU_PROCESSES replaces the thread with a pool of processes, which do not share the GIL of the loop. Each costs the
memory of an interpreter. This pays for long work, if the pod has more CPUs than workers. Processes start with the first
work, and are replaced after 1,000 tasks, so that leaks in them stay bounded.
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
    """One thread, or the given number of processes."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._executor: Executor | None = None

    async def burn(self, seconds: float) -> int:
        """Use this much CPU time in the pool and return the process id; raises BrokenProcessPool."""
        executor = self._executor = self._executor or self._new()
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, cpu_work.burn, seconds)
        except BrokenProcessPool:
            # A process was killed, usually for its memory. Work in progress is lost; the next call creates a pool.
            if self._executor is executor:
                self._executor = None
            raise

    @contextmanager
    def closed_at_end(self) -> Iterator[None]:
        """End the thread or the processes at the end of the block."""
        try:
            yield
        finally:
            if self._executor is not None:
                self._executor.shutdown(cancel_futures=True)

    def _new(self) -> Executor:
        if self._processes == 0:
            return ThreadPoolExecutor(max_workers=1, thread_name_prefix="cpu")
        # Spawned, not forked: a fork of a process with threads may inherit a lock that no thread will release.
        return ProcessPoolExecutor(
            self._processes,
            multiprocessing.get_context("spawn"),
            initializer=cpu_work.end_with_worker,
            max_tasks_per_child=_TASKS_PER_PROCESS,
        )
