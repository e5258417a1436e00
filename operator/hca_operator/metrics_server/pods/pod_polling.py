"""How one pod is polled: every two seconds, and a change for the worse or the better is logged once."""

import logging
from collections.abc import Awaitable, Callable

from hca_operator.metrics_server.pods.scrape import TIMEOUT_SECONDS, ScrapeFailure
from hca_operator.metrics_server.polling.pollers import poll_at_interval

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 2.0
"""Between two scrapes of a pod: a few for each window of samples."""
FIRST_SAMPLES_SECONDS = 2 * INTERVAL_SECONDS + TIMEOUT_SECONDS
"""From the first lists until each pod was read twice: a rate takes two samples."""


async def poll_pod(
    pod: str,
    read: Callable[[ScrapeFailure | None], Awaitable[ScrapeFailure | None]],
    clock: Callable[[], float],
    phase: float,
) -> None:
    """Poll until cancelled. `read` is given the result of the last time; `phase`, from 0 to 1, spreads the pods."""
    failure: ScrapeFailure | None = None

    async def poll() -> None:
        nonlocal failure
        before, failure = failure, await read(failure)
        if failure is not None and before is None:
            logger.warning("pod %s is not known: %s", pod, failure)
        elif failure is None and before is not None:
            logger.info("pod %s is known again", pod)

    await poll_at_interval(INTERVAL_SECONDS, poll, clock=clock, phase=phase)
