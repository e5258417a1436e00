"""Reports that another install of the operator holds this one back."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from hca_operator.core.errors import HcaError
from hca_operator.kube.client import KubeClient
from hca_operator.kube.leader_election import Candidate, Leader
from hca_operator.status.events import EventText, event

CHECK_SECONDS = 2.0

logger = logging.getLogger(__name__)


def held_back(leader: Leader) -> str | None:
    """Why this install waits for another one, None if it does not."""
    if not leader.rival:
        return None
    return f"an operator in namespace {leader.rival} looks after the same objects: uninstall one of the two"


async def report_second_install(
    kube: KubeClient, leader: Leader, candidate: Candidate, now: Callable[[], datetime]
) -> None:
    """Until cancelled, log each new rival once, and create an Event about our own pod, where users look first."""
    reported: str | None = None
    while True:
        message = held_back(leader)
        if message is not None and message != reported:
            logger.error(message)
            with suppress(HcaError):
                for pod in await kube.list(
                    "Pod", candidate.namespace, fieldSelector=f"metadata.name={candidate.identity}"
                ):
                    text = EventText(warning=True, reason="SecondInstall", message=message)
                    await kube.create(event(pod, text, now(), candidate.identity))
        reported = message
        await asyncio.sleep(CHECK_SECONDS)
