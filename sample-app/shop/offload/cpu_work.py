"""The functions that run in the processes of `cpu_pool`. They import nothing of the shop, to keep these small."""

import multiprocessing
import os
import signal
import threading
import time


def burn(seconds: float) -> int:
    """Use this much CPU time of the calling thread, and return the process id."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(1000))
    return os.getpid()


def end_with_worker() -> None:
    """Initialise a process of the pool: ignore Ctrl-C, which the worker handles, and end if the worker is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    worker = multiprocessing.parent_process()
    assert worker is not None  # noqa: S101 - it runs in a process of the pool

    def follow() -> None:
        worker.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
