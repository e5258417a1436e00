"""Queues every object now and then, for what no event reported, and whenever this replica becomes the leader."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from hca_operator.controller.work_queue import WorkQueue
from hca_operator.core.errors import HcaError
from hca_operator.core.names import KIND, Manifest
from hca_operator.core.observed import edited
from hca_operator.core.ports import Key
from hca_operator.kube.client import KubeClient
from hca_operator.kube.informer import Informer
from hca_operator.kube.object_cache import ObjectCache
from hca_operator.restarts.pod_replacement import DETACHED

RESYNC_SECONDS = 600.0
RESYNC_RETRY_SECONDS = 5.0
"""After a resync that failed."""

logger = logging.getLogger(__name__)


class Resync:
    """Lists everything again and puts every object into the queue."""

    def __init__(  # noqa: PLR0913 - what it lists and where it puts it
        self,
        kube: KubeClient,
        namespace: str,
        queue: WorkQueue[Key],
        objects: ObjectCache,
        informers: Mapping[str, Informer],
        *,
        resume_replacements: Callable[[Sequence[Manifest]], set[Key]],
        jitter: Callable[[], float],
    ) -> None:
        """`namespace`: "" for all. `informers`: by kind. `jitter` returns a factor around 1.

        `resume_replacements` is given the detached pods, and ReplicaSets of such pods, and returns their objects.
        """
        self._kube = kube
        self._namespace = namespace
        self._queue = queue
        self._objects = objects
        self._informers = informers
        self._resume_replacements = resume_replacements
        self._jitter = jitter
        self._requested = asyncio.Event()

    def request(self) -> None:
        """Have every object queued soon."""
        self._requested.set()

    def begin_to_lead(self) -> None:
        """List every object again before one is taken from the cache: this replica has become the leader."""
        self._objects.mark_unsynced()
        self._requested.set()

    async def run(self) -> None:
        """Resync at intervals and on request, until cancelled."""
        while True:
            due = False
            try:
                await asyncio.wait_for(self._requested.wait(), RESYNC_SECONDS * self._jitter())
            except TimeoutError:
                due = True
            self._requested.clear()
            try:
                await self._queue_detached()
                if due:
                    await self._relist()
                async for page, _version in self._kube.pages(KIND, self._namespace):
                    for manifest in page:
                        self._objects.update(manifest)
                        key = Key.of(manifest)
                        self._queue.add(key, urgent=edited(manifest))
                if not self._requested.is_set():  # otherwise this replica may have become the leader during the list
                    self._objects.mark_synced()
            except HcaError as error:
                logger.warning("listing all objects failed and is repeated: %s", error)
                await asyncio.sleep(RESYNC_RETRY_SECONDS * self._jitter())
                self._requested.set()

    async def _queue_detached(self) -> None:
        """Queue objects with a detached pod or the ReplicaSet of one: an operator ended while it replaced the pod."""
        for kind in ("Pod", "ReplicaSet"):
            try:
                async for detached, _version in self._kube.pages(kind, self._namespace, labelSelector=DETACHED):
                    for key in self._resume_replacements(detached):
                        self._queue.add(key)
            except HcaError as error:
                logger.warning("listing the pods that are being replaced failed: %s", error)

    async def _relist(self) -> None:
        for kind, informer in self._informers.items():
            try:
                await informer.relist()
            except HcaError as error:  # such as a right that is missing for one kind: the others are listed
                logger.warning("listing every %s failed: %s", kind, error)
