"""Which Leases are those of an operator: every user who may edit a namespace may write one that looks like it.

The holder of a Lease is a pod, and its service account may write the status of HighConcurrencyApis: in all namespaces,
or in that of the Lease if its install is for one namespace. No role for users allows this, and a pod cannot have an
account of another namespace, so nobody else can hold a Lease that counts (docs/design/0005).
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from itertools import islice
from typing import NamedTuple, Protocol

from hca_operator.core.errors import Forbidden
from hca_operator.core.names import GROUP, PLURAL, Manifest
from hca_operator.core.observed import holding_pod, is_of_one_namespace
from hca_operator.core.ports import Creator, Lister
from hca_operator.kube.access_review import allows

PROVEN_SECONDS, REFUTED_SECONDS = 60.0, 10.0
"""For which a holder is not asked about again."""
MOST_REFUTED = 30
"""Holders that turn out to be no operator, after which the others of this time are not asked about: a tenant may write
thousands of Leases. Those that are proven do not count: each namespace may have an install of its own."""
ASKED_AT_A_TIME = 10
"""So that an election, which has seconds for all of them, can wait for slow answers."""

logger = logging.getLogger(__name__)


class Holder(NamedTuple):
    """Who holds a Lease, and for which objects."""

    namespace: str
    pod: str
    namespaced: bool
    """Whether its install is for its own namespace only."""


class Pods(Lister, Creator, Protocol):
    """What a proof needs of the API server: pods, and reviews of what their accounts may do."""


class InstallProofs:
    """Asks the API server about the holders of Leases, and remembers the answers for a while."""

    def __init__(self, cluster: Pods, clock: Callable[[], float]) -> None:
        self._cluster = cluster
        self._clock = clock
        self._proven: dict[Holder, float] = {}
        self._refuted: dict[Holder, float] = {}
        """Until when they are, each."""
        self._reported: set[str] = set()
        """Namespaces with Leases that do not count."""
        self._may_ask = True

    async def proven(self, leases: Sequence[Manifest]) -> list[Manifest]:
        """Those that an operator holds; all, if this may not be asked. Raises HcaError if the API server is silent."""
        holders = [holder_of(lease) for lease in leases]
        try:
            await self._ask_about(holders)
        except Forbidden as error:
            # To wait for a Lease of a tenant is reported and can be mended; two operators would both write.
            if self._may_ask:
                logger.warning("every Lease with the label of the operator is respected, whoever holds it: %s", error)
            self._may_ask = False
            return list(leases)
        self._may_ask = True
        return [lease for lease, holder in zip(leases, holders, strict=True) if holder in self._proven]

    async def _ask_about(self, holders: Sequence[Holder]) -> None:
        now, refuted = self._clock(), 0
        present = set(holders)
        self._proven = {holder: until for holder, until in self._proven.items() if holder in present}
        self._refuted = {holder: until for holder, until in self._refuted.items() if now < until}
        order = in_fair_order(holders, self._proven, {each.namespace for each in self._refuted})
        unknown = (each for each in order if now >= self._proven.get(each, 0.0) and each not in self._refuted)
        while asked := [*islice(unknown, min(ASKED_AT_A_TIME, MOST_REFUTED - refuted))]:
            answers = await asyncio.gather(*map(self._is_operator, asked))
            for holder, is_operator in zip(asked, answers, strict=True):
                if is_operator:
                    self._proven[holder] = now + PROVEN_SECONDS
                else:
                    self._proven.pop(holder, None)
                    self._refuted[holder] = now + REFUTED_SECONDS
                    refuted += 1
                    self._report(holder)

    async def _is_operator(self, holder: Holder) -> bool:
        """Whether the account of a holder may do what only an operator does."""
        pods = await self._cluster.list("Pod", holder.namespace, fieldSelector=f"metadata.name={holder.pod}")
        accounts = [account for pod in pods if (account := pod["spec"].get("serviceAccountName"))]
        return any([await allows(self._cluster, *review_of(holder, account)) for account in accounts])

    def _report(self, holder: Holder) -> None:
        if holder.namespace not in self._reported:
            self._reported.add(holder.namespace)
            logger.warning("a Lease in namespace %s is ignored: no operator holds it", holder.namespace)


def holder_of(lease: Manifest) -> Holder:
    """Who holds a Lease that is held by a pod."""
    return Holder(lease["metadata"]["namespace"], holding_pod(lease) or "", is_of_one_namespace(lease))


def in_fair_order(holders: Sequence[Holder], proven: Collection[Holder], refuted: Collection[str]) -> list[Holder]:
    """Whom to ask about first: the proven, then the first of each namespace, at last the namespaces with refuted ones.

    So a tenant with many Leases does not keep one from being found that is in a namespace where they may write none.
    """
    ranks, order = Counter[str](), dict[Holder, tuple[bool, bool, int]]()
    for holder in holders:
        if holder not in order:
            order[holder] = (holder not in proven, holder.namespace in refuted, ranks[holder.namespace])
            ranks[holder.namespace] += 1
    return sorted(order, key=order.__getitem__)


def review_of(holder: Holder, account: str) -> tuple[Manifest, Manifest]:
    """Subject and access of the review whether an account may write the status of the objects of an install."""
    accounts = "system:serviceaccounts"
    subject = {
        "user": f"system:serviceaccount:{holder.namespace}:{account}",
        "groups": [accounts, f"{accounts}:{holder.namespace}", "system:authenticated"],
    }
    status = {"group": GROUP, "resource": PLURAL, "subresource": "status", "verb": "patch"}
    return subject, {"resourceAttributes": {**status, "namespace": holder.namespace if holder.namespaced else ""}}
