"""Who writes: one replica of one install, by a Lease (coordination.k8s.io).

The algorithm is client-go's (tools/leaderelection), with monotonic time throughout: a candidate waits a whole lease
from when it last saw the record change, so clocks need not agree. What is more here (docs/design/0005):

- a fence: the leader may write until RENEW_DEADLINE after the *start* of its last successful renewal, and no request
  outlives that; others wait LEASE_DURATION, so the two never overlap;
- a second install over the same objects holds back: it sees the first one's Lease by its label;
- an install for the whole cluster leaves alone the namespaces that have an install of their own.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from hca_operator.core.errors import HcaError, Transient
from hca_operator.core.names import GROUP, MANAGED_BY, Manifest
from hca_operator.desired.metadata import selector_text

LEASE_DURATION, RENEW_DEADLINE, RETRY_PERIOD = 15.0, 10.0, 2.0
"""Seconds; the defaults of client-go and of every controller of Kubernetes itself."""
STANDBY_PERIOD = 1.0
"""Seconds between two looks of a replica that stands by: a leader that goes gives its Lease back, and until that is
seen nobody writes. A look is one GET of one small object."""
LABELS = {"app.kubernetes.io/name": MANAGED_BY}
SCOPE_LABEL = f"{GROUP}/scope"
SELECTOR = selector_text(LABELS)
CENSUS = 10.0
"""Seconds between two looks for installs that look after one namespace alone."""

logger = logging.getLogger(__name__)


class Leases(Protocol):
    """What an election needs of the API server."""

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """An object, None where it does not exist."""

    async def list(self, kind: str, namespace: str, **selectors: str) -> list[Manifest]:
        """Objects of a namespace, "" for all."""

    async def create(self, manifest: Manifest) -> Manifest:
        """A new object; Transient where it exists."""

    async def replace(self, manifest: Manifest) -> Manifest:
        """The object as given; Transient where it has changed since it was read."""


@dataclass(frozen=True)
class Candidate:
    """Who stands for election, and for which Lease."""

    namespace: str
    name: str
    identity: str
    namespaced: bool = False
    """Whether it looks after its own namespace alone."""

    @property
    def labels(self) -> dict[str, str]:
        """What the Lease tells other installs."""
        return {**LABELS, SCOPE_LABEL: "namespace" if self.namespaced else "cluster"}


class Leader:
    """Keeps this process's claim to be the one that writes."""

    def __init__(self, leases: Leases, candidate: Candidate, *, now: Callable[[], datetime]) -> None:
        self._leases = leases
        self._candidate = candidate
        self._now = now
        self._clock = asyncio.get_running_loop().time
        self._until = 0.0
        self._seen: dict[tuple[str, str], tuple[object, float]] = {}
        """Per Lease: its record, and when it was first seen so."""
        self._gained = asyncio.Event()
        self._resigned = False
        self.rival: str | None = None
        """Namespace of another install that looks after the same objects."""
        self.elsewhere: frozenset[str] = frozenset()
        """Namespaces that an install of their own looks after."""
        self._counted = -CENSUS

    def remaining(self) -> float:
        """Seconds for which this process may write; 0 where it is not the leader."""
        return max(0.0, self._until - self._clock())

    async def leading(self) -> None:
        """Wait until this process is the leader."""
        while not self.remaining():
            self._gained.clear()
            await self._gained.wait()

    async def run(self, gained: Callable[[], None], jitter: Callable[[], float]) -> None:
        """Stand for election until told to resign; `gained` is called whenever this process becomes the leader."""
        while not self._resigned:
            await self._try(gained)
            await asyncio.sleep((RETRY_PERIOD if self.remaining() else STANDBY_PERIOD) * jitter())
        await asyncio.Event().wait()  # a task that ended would look like one that failed

    async def resign(self) -> None:
        """Write no more, and give the Lease back so that the next leader need not wait for its end."""
        self._resigned = True
        if self.remaining():
            with suppress(HcaError, TimeoutError):
                async with asyncio.timeout(RENEW_DEADLINE / 2):
                    await self._release()

    async def _try(self, gained: Callable[[], None]) -> None:
        was_leading = bool(self.remaining())
        started = self._clock()
        try:
            async with asyncio.timeout(RENEW_DEADLINE / 2):
                won = await self._acquire_or_renew(was_leading=was_leading)
        except (HcaError, TimeoutError) as error:
            # While the old renewal lasts, this is one missed try of several.
            logger.warning("the Lease could not be renewed: %s", str(error) or "no answer in time")
            return
        if not won or self._resigned:
            self._until = 0.0
            return
        try:
            async with asyncio.timeout(RETRY_PERIOD):
                await self._take_census(gained)
        except (HcaError, TimeoutError) as error:
            logger.warning("the Leases of other installs could not be listed: %s", str(error) or "no answer in time")
            if not was_leading:
                return
        self._until = started + RENEW_DEADLINE
        if not was_leading:
            logger.info("leading", extra={"lease": f"{self._candidate.namespace}/{self._candidate.name}"})
            gained()
        # Also where it led before: the Lease may have run out while it was renewed, and work has waited since.
        self._gained.set()

    async def _acquire_or_renew(self, *, was_leading: bool) -> bool:
        lease = await self._leases.get("Lease", self._candidate.namespace, self._candidate.name)
        if lease is not None and self._held_by_other(lease):
            self.rival = None  # whoever holds our own Lease was not held back
            return False
        if not was_leading and await self._held_back(lease):
            return False
        held = await self._write(lease)
        # Two installs that start at once see nobody, and then each other: the older Lease has it.
        if not was_leading and await self._held_back(held):
            await self._release()
            return False
        return True

    def _held_by_other(self, lease: Manifest) -> bool:
        return lease["spec"].get("holderIdentity") != self._candidate.identity and self._active(lease)

    def _active(self, lease: Manifest) -> bool:
        """Whether somebody holds a Lease: it has a holder, and has changed within its duration as seen from here."""
        spec = lease["spec"]
        if not spec.get("holderIdentity"):
            return False
        slot = (lease["metadata"]["namespace"], lease["metadata"]["name"])
        record = (spec["holderIdentity"], spec.get("renewTime"))
        if self._seen.get(slot, (None, 0.0))[0] != record:
            self._seen[slot] = (record, self._clock())
        return self._clock() < self._seen[slot][1] + float(spec.get("leaseDurationSeconds") or LEASE_DURATION)

    async def _others(self) -> list[Manifest]:
        """The Leases that other installs hold, as far as this one may see."""
        own = (self._candidate.namespace, self._candidate.name)
        scope = self._candidate.namespace if self._candidate.namespaced else ""
        found = await self._leases.list("Lease", scope, labelSelector=SELECTOR)
        return [
            lease
            for lease in found
            if (lease["metadata"]["namespace"], lease["metadata"]["name"]) != own and self._active(lease)
        ]

    async def _take_census(self, gained: Callable[[], None]) -> None:
        """See which namespaces have an install of their own; one that has gone leaves its objects to this one."""
        if self._candidate.namespaced or self._clock() < self._counted + CENSUS:
            return
        others = await self._others()
        self._counted = self._clock()
        before = self.elsewhere
        self.elsewhere = frozenset(lease["metadata"]["namespace"] for lease in others if _namespaced(lease))
        if before - self.elsewhere:
            gained()

    async def _held_back(self, own: Manifest | None) -> bool:
        """Whether another install goes first; `own` is our Lease, None where there is none yet."""
        self.rival = None
        for lease in await self._others():
            if _namespaced(lease) != self._candidate.namespaced:
                continue  # they share the work: see `elsewhere`
            if own is None or _age(lease) < _age(own) or own["spec"].get("holderIdentity") != self._candidate.identity:
                self.rival = lease["metadata"]["namespace"]
                return True
        return False

    async def _write(self, lease: Manifest | None) -> Manifest:
        now = self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {
            "holderIdentity": self._candidate.identity,
            "leaseDurationSeconds": int(LEASE_DURATION),
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": 0,
        }
        if lease is None:
            metadata = {
                "namespace": self._candidate.namespace,
                "name": self._candidate.name,
                "labels": self._candidate.labels,
            }
            return await self._leases.create(
                {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
            )
        before = lease["spec"]
        if before.get("holderIdentity") == self._candidate.identity:
            spec |= {name: before[name] for name in ("acquireTime", "leaseTransitions") if name in before}
        else:
            spec["leaseTransitions"] = before.get("leaseTransitions", 0) + 1
        labels = {**lease["metadata"].get("labels", {}), **self._candidate.labels}
        return await self._leases.replace({**lease, "metadata": {**lease["metadata"], "labels": labels}, "spec": spec})

    async def _release(self) -> None:
        self._until = 0.0
        lease = await self._leases.get("Lease", self._candidate.namespace, self._candidate.name)
        if lease is not None and lease["spec"].get("holderIdentity") == self._candidate.identity:
            spec = {name: value for name, value in lease["spec"].items() if name != "holderIdentity"}
            try:
                await self._leases.replace({**lease, "spec": spec})
            except Transient:
                logger.info("somebody else has taken the Lease already")


def _namespaced(lease: Manifest) -> bool:
    return bool(lease["metadata"].get("labels", {}).get(SCOPE_LABEL) == "namespace")


def _age(lease: Manifest) -> tuple[str, str]:
    metadata = lease["metadata"]
    return (metadata["creationTimestamp"], metadata["namespace"])
