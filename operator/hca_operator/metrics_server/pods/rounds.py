"""How one of many is asked: every two seconds, for ever, and a change for the worse or the better is told once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from hca_operator.metrics_server.pods.scrape import TIMEOUT, Failure

logger = logging.getLogger(__name__)

INTERVAL = 2.0
"""Seconds between two scrapes of a pod: a few for each window."""
FIRST_READINGS = 2 * INTERVAL + TIMEOUT
"""Seconds from the first lists until each pod was read twice: a rate takes two readings."""


async def ask_for_ever(
    pod: str, ask: Callable[[Failure | None], Awaitable[Failure | None]], clock: Callable[[], float], phase: float
) -> None:
    """Ask a pod; `ask` is given what came of the last time, and `phase`, from 0 to 1, spreads the pods."""
    await asyncio.sleep(phase * INTERVAL)
    failure: Failure | None = None
    while True:
        due = clock() + INTERVAL
        before, failure = failure, await ask(failure)
        if failure is not None and before is None:
            logger.warning("pod %s is not known: %s", pod, failure)
        elif failure is None and before is not None:
            logger.info("pod %s is known again", pod)
        await asyncio.sleep(max(0.0, due - clock()))
