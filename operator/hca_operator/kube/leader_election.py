"""Elects the one replica of one install that writes, by a Lease (coordination.k8s.io).

The algorithm is that of client-go (tools/leaderelection), with monotonic time: a candidate waits a whole lease after
the record last changed, so clocks need not agree. In addition (docs/design/0005):

- a fence: the leader may write until RENEW_DEADLINE_SECONDS after the *start* of its last successful renewal, and no
  request takes longer; other candidates wait LEASE_SECONDS, so two leaders never overlap;
- a second install for the same objects waits: it finds the Lease of the first one;
- an install for the whole cluster skips the namespaces that have an install of their own.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from hca_operator.core.errors import HcaError, Transient
from hca_operator.core.names import SCOPE_CLUSTER, SCOPE_LABEL, SCOPE_NAMESPACE, Manifest
from hca_operator.core.ports import Getter, Key, Replacer
from hca_operator.kube.other_installs import LABELS, LEASE_SECONDS, Installs, OtherInstalls, Renewals

RENEW_DEADLINE_SECONDS, RETRY_PERIOD_SECONDS = 10.0, 2.0
"""Like LEASE_SECONDS the defaults of client-go and of every controller of Kubernetes itself."""
STANDBY_PERIOD_SECONDS = 1.0
"""Between two tries of a replica that is not the leader. A leader that ends releases its Lease, and until the next try
no replica writes. A try is one GET of one small object."""
CENSUS_SECONDS = 10.0
"""Between two lists of the installs for one namespace."""

logger = logging.getLogger(__name__)


class Leases(Getter, Replacer, Installs, Protocol):
    """What an election needs of the API server."""


@dataclass(frozen=True)
class Candidate:
    """One replica, and the Lease that it wants to hold."""

    namespace: str
    name: str
    identity: str
    namespaced: bool = False
    """Whether its install is for its own namespace only."""

    @property
    def labels(self) -> dict[str, str]:
        """Labels of the Lease, by which other installs find it."""
        return {**LABELS, SCOPE_LABEL: SCOPE_NAMESPACE if self.namespaced else SCOPE_CLUSTER}


class Leader:
    """Acquires and renews the Lease for this replica."""

    def __init__(self, leases: Leases, candidate: Candidate, *, now: Callable[[], datetime]) -> None:
        self._leases = leases
        self._candidate = candidate
        self._now = now
        self._clock = asyncio.get_running_loop().time
        self._until = 0.0
        self._renewals = Renewals(self._clock)
        self._installs = OtherInstalls(
            leases, Key(candidate.namespace, candidate.name), self._renewals, self._clock,
            only_own_namespace=candidate.namespaced,
        )  # fmt: skip
        self._gained = asyncio.Event()
        self._resigned = False
        self.rival: str | None = None
        """Namespace of another install for the same objects, which this one waits for."""
        self.elsewhere: frozenset[str] = frozenset()
        """Namespaces that have an install of their own."""
        self._counted = -CENSUS_SECONDS

    def remaining(self) -> float:
        """Seconds for which this replica may write; 0 if it is not the leader."""
        return max(0.0, self._until - self._clock())

    async def leading(self) -> None:
        """Return as soon as this replica is the leader."""
        while not self.remaining():
            self._gained.clear()
            await self._gained.wait()

    async def run(self, gained: Callable[[], None], jitter: Callable[[], float]) -> None:
        """Acquire and renew the Lease until `resign`; `gained` is called whenever this replica becomes the leader."""
        while not self._resigned:
            await self._try(gained)
            await asyncio.sleep((RETRY_PERIOD_SECONDS if self.remaining() else STANDBY_PERIOD_SECONDS) * jitter())
        await asyncio.Event().wait()  # the probes take a task that ended for one that failed

    async def resign(self) -> None:
        """Stop writing, and release the Lease so that the next leader need not wait until it expires."""
        self._resigned = True
        if self.remaining():
            with suppress(HcaError, TimeoutError):
                async with asyncio.timeout(RENEW_DEADLINE_SECONDS / 2):
                    await self._release()

    async def _try(self, gained: Callable[[], None]) -> None:
        was_leading = bool(self.remaining())
        started = self._clock()
        try:
            async with asyncio.timeout(RENEW_DEADLINE_SECONDS / 2):
                won = await self._acquire_or_renew(was_leading=was_leading)
        except (HcaError, TimeoutError) as error:
            # Until the last renewal expires, further tries follow.
            logger.warning("the Lease could not be renewed: %s", str(error) or "no answer in time")
            return
        if not won or self._resigned:
            self._until = 0.0
            return
        try:
            async with asyncio.timeout(RETRY_PERIOD_SECONDS):
                await self._take_census(gained)
        except (HcaError, TimeoutError) as error:
            logger.warning("the Leases of other installs could not be listed: %s", str(error) or "no answer in time")
            if not was_leading:
                return
        self._until = started + RENEW_DEADLINE_SECONDS
        if not was_leading:
            logger.info("leading", extra={"lease": f"{self._candidate.namespace}/{self._candidate.name}"})
            gained()
        # Also if it was the leader: the Lease may have expired during the renewal, and reconciles wait since then.
        self._gained.set()

    async def _acquire_or_renew(self, *, was_leading: bool) -> bool:
        lease = await self._leases.get("Lease", self._candidate.namespace, self._candidate.name)
        if lease is not None and self._held_by_other(lease):
            self.rival = None  # the replica that holds our own Lease did not have to wait
            return False
        if not was_leading and await self._held_back(lease):
            return False
        held = await self._write(lease)
        # Two installs that start at the same time find no Lease, and then each other's: the older Lease wins.
        if not was_leading and await self._held_back(held):
            await self._release()
            return False
        return True

    def _held_by_other(self, lease: Manifest) -> bool:
        return lease["spec"].get("holderIdentity") != self._candidate.identity and self._renewals.active(lease)

    async def _take_census(self, gained: Callable[[], None]) -> None:
        """Find the namespaces that have an install of their own. The objects of one that is gone fall to this one."""
        if self._candidate.namespaced or self._clock() < self._counted + CENSUS_SECONDS:
            return
        others = await self._installs.held(namespaced=True)
        self._counted = self._clock()
        before = self.elsewhere
        self.elsewhere = frozenset(lease["metadata"]["namespace"] for lease in others)
        if before - self.elsewhere:
            gained()

    async def _held_back(self, own: Manifest | None) -> bool:
        """Whether this install waits for another one; `own` is our Lease, None if there is none yet."""
        self.rival = None
        # Those of the other scope share the objects by namespace: see `elsewhere`.
        for lease in await self._installs.held(namespaced=self._candidate.namespaced):
            if own is None or _age(lease) < _age(own) or own["spec"].get("holderIdentity") != self._candidate.identity:
                self.rival = lease["metadata"]["namespace"]
                return True
        return False

    async def _write(self, lease: Manifest | None) -> Manifest:
        now = self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {
            "holderIdentity": self._candidate.identity,
            "leaseDurationSeconds": int(LEASE_SECONDS),
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
                logger.info("another replica has taken the Lease already")


def _age(lease: Manifest) -> tuple[str, str]:
    metadata = lease["metadata"]
    return (metadata["creationTimestamp"], metadata["namespace"])
