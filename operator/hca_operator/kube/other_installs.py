"""Finds the other installs of the operator in the cluster, by the Leases that they hold.

Every user who may edit a namespace may write Leases there with the label of the operator, as many, as large and as
often as they like. So what is read of one namespace has a limit, and a Lease of another namespace needs a proof.
"""

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol

from hca_operator.core.names import MANAGED_BY, Manifest
from hca_operator.core.observed import holding_pod, is_of_one_namespace
from hca_operator.core.ports import Creator, Key, Lister, Pager
from hca_operator.desired.metadata import selector_text
from hca_operator.kube.install_proofs import InstallProofs

LEASE_SECONDS = 15.0
"""The default of client-go and of every controller of Kubernetes itself."""
LONGEST_LEASE_SECONDS = 4 * LEASE_SECONDS
"""For which a Lease without a renewal is respected, whatever it says."""
LABELS = {"app.kubernetes.io/name": MANAGED_BY}
"""Of the Lease of every install."""
SELECTOR = selector_text(LABELS)
MOST_BYTES_OF_A_NAMESPACE = 64 * 2**10
"""Of the Leases of one namespace in JSON; that of an install has less than a KiB."""
LEFT_OUT_SECONDS = 600.0
"""For which the API server leaves a namespace with more out of the lists: its Leases are not read."""

logger = logging.getLogger(__name__)


class Installs(Pager, Lister, Creator, Protocol):
    """What finding them needs of the API server."""


class Renewals:
    """Which Leases are held, by when this process has seen them change: clocks need not agree."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: dict[Key, tuple[object, float]] = {}
        """The record of each Lease, and when it was first read so."""

    def active(self, lease: Manifest) -> bool:
        """Whether a Lease has a holder, and has changed within its duration."""
        spec = lease["spec"]
        if not spec.get("holderIdentity"):
            return False
        key, record = Key.of(lease), (spec["holderIdentity"], spec.get("renewTime"))
        if self._seen.get(key, (None, 0.0))[0] != record:
            self._seen[key] = (record, self._clock())
        duration = min(float(spec.get("leaseDurationSeconds") or LEASE_SECONDS), LONGEST_LEASE_SECONDS)
        return self._clock() < self._seen[key][1] + duration

    def forget_all_but(self, keys: Iterable[Key]) -> None:
        """Keep what is known of these Leases."""
        self._seen = {key: self._seen[key] for key in keys if key in self._seen}


class OtherInstalls:
    """The Leases that other installs hold."""

    def __init__(
        self, cluster: Installs, own: Key, renewals: Renewals, clock: Callable[[], float], *, only_own_namespace: bool
    ) -> None:
        self._cluster = cluster
        self._own = own
        self._renewals = renewals
        self._clock = clock
        self._only_own_namespace = only_own_namespace
        self._proofs = InstallProofs(cluster, clock)
        self._left_out: dict[str, float] = {}
        """Namespaces that are left out of the lists, and until when."""

    async def held(self, *, namespaced: bool) -> list[Manifest]:
        """The Leases of installs for the cluster or of those for one namespace each, as far as this one may read.

        In the namespace of an install that may read no other one, nothing is proven: who may write Leases there may
        as well end the operator. Raises HcaError.
        """
        leases = await self._read()
        self._renewals.forget_all_but([self._own, *map(Key.of, leases)])
        active = [lease for lease in leases if self._renewals.active(lease)]
        asked = [lease for lease in active if is_of_one_namespace(lease) == namespaced]
        return asked if self._only_own_namespace else await self._proofs.proven(asked)

    async def _read(self) -> list[Manifest]:
        while (leases := await self._read_unless_too_many()) is None:
            pass  # without the namespace that has too many
        return leases

    async def _read_unless_too_many(self) -> list[Manifest] | None:
        """The Leases that pods hold; None if another namespace is to be left out."""
        now = self._clock()
        self._left_out = {namespace: until for namespace, until in self._left_out.items() if now < until}
        selectors = {"labelSelector": SELECTOR}
        if self._left_out:
            selectors["fieldSelector"] = ",".join(f"metadata.namespace!={namespace}" for namespace in self._left_out)
        leases, sizes = list[Manifest](), Counter[str]()
        scope = self._own.namespace if self._only_own_namespace else ""
        async for page, _version in self._cluster.pages("Lease", scope, **selectors):
            for lease in page:
                sizes[lease["metadata"]["namespace"]] += len(json.dumps(lease))
            if too_many := [namespace for namespace, size in sizes.items() if size > MOST_BYTES_OF_A_NAMESPACE]:
                logger.warning("too many Leases with the label of the operator, ignored: %s", ", ".join(too_many))
                self._left_out |= dict.fromkeys(too_many, now + LEFT_OUT_SECONDS)
                return None
            leases += [lease for lease in page if holding_pod(lease) and Key.of(lease) != self._own]
        return leases
