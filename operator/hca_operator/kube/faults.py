"""What one item of work raises ends with that item, and not with the task that works them all off (docs/design/0020).

A library in Rust panics with a BaseException, which passes every `except Exception`.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import Counter

from hca_operator.core.errors import correlation_id

OUR_OWN = (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit)
"""What ends a task or the process on purpose."""
PAUSE_SECONDS = 5.0
"""Seconds after which interrupted work starts again."""
INTERNAL_ERRORS = Counter(
    "hca_internal_errors_total", "Unexpected errors, by the work that they interrupted.", ["work"],
    registry=None,
)  # fmt: skip
"""Of the process; each registry of metrics shows it."""

logger = logging.getLogger(__name__)


def report_error(error: BaseException, work: str, **extra: object) -> None:
    """Log and count an unexpected error."""
    INTERNAL_ERRORS.labels(work).inc()
    known = {"work": work, "correlation_id": correlation_id(error), **extra}
    logger.error("an internal error interrupted %s: %s", work, error, exc_info=error, extra=known)


@contextmanager
def survived(work: str, **extra: object) -> Iterator[None]:
    """Whatever the block raises is logged and counted, and ends with it."""
    try:
        yield
    except OUR_OWN:
        raise
    except BaseException as error:
        report_error(error, work, **extra)


async def endless(work: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run until cancelled, or until the work ends by itself; start it again after an unexpected error."""
    INTERNAL_ERRORS.labels(work)  # an increase from nothing to 1 is none to Prometheus
    while True:
        with survived(work):
            return await run()
        await asyncio.sleep(PAUSE_SECONDS)
