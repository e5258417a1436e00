"""What runs in the processes of `cpu`: it imports nothing of the shop, since each of them pays for that again."""

import multiprocessing
import os
import signal
import threading
import time


def burn(seconds: float) -> int:
    """Use that much CPU time, however long it takes beside others, and return the process that did."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(1000))
    return os.getpid()


def end_with_worker() -> None:
    """Let the worker decide when to end; should it be killed, end as well instead of waiting for work for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    worker = multiprocessing.parent_process()
    assert worker is not None  # noqa: S101 - this is a pool's process

    def follow() -> None:
        worker.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
