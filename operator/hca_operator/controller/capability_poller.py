"""Who serves the external metrics API, asked now and then: another server may come, or go."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from hca_operator.core.errors import Forbidden, HcaError
from hca_operator.core.names import Manifest
from hca_operator.scaling.capabilities import REGISTRATION, ExternalMetrics, Service, taken_by_another

logger = logging.getLogger(__name__)

CYCLE = 30.0
"""Seconds between two looks."""
RETRY = 2.0
"""Seconds between two looks until the first one that succeeds."""


class Source(Protocol):
    """The API server."""

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """An object, None where it does not exist."""


class CapabilityPoller:
    """Keeps what is known of the external metrics API up to date, in an install that serves it."""

    def __init__(self, source: Source, external: ExternalMetrics, ours: Service) -> None:
        self._source = source
        self._external = external
        self._ours = ours
        self.looked = asyncio.Event()
        """Set once it is known. Until then nothing can be decided: autoscalers would be written twice."""

    async def run(self, *, all_changed: Callable[[], None]) -> None:
        """Look for ever; `all_changed` is called when the answer is another one."""
        while True:
            known, before = self.looked.is_set(), self._external.missing
            await self.look()
            if known and before != self._external.missing:
                all_changed()
            await asyncio.sleep(CYCLE if self.looked.is_set() else RETRY)

    async def look(self) -> None:
        """Look once. A look that fails changes nothing."""
        try:
            found = await self._source.get("APIService", "", REGISTRATION)
        except Forbidden as error:
            logger.warning("whether another server has the external metrics API is not known: %s", error)
        except HcaError as error:
            logger.info("who serves the external metrics API could not be asked: %s", error)
            return
        else:
            self._external.missing = taken_by_another(found, self._ours)
        self.looked.set()
