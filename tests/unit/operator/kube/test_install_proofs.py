"""Which Leases count: those of operators, however many others there are that only look like it."""

import asyncio
import logging
from collections.abc import Sequence

import pytest

from hca_operator.core.errors import Forbidden, Transient
from hca_operator.core.names import Manifest
from hca_operator.kube.install_proofs import (
    MOST_REFUTED,
    PROVEN_SECONDS,
    REFUTED_SECONDS,
    Holder,
    InstallProofs,
    in_fair_order,
    review_of,
)
from hca_operator.kube.other_installs import MOST_BYTES_OF_A_NAMESPACE
from tests.unit.operator.kube.elections import Client, Election, Store, elect, leader
from tests.unit.operator.virtual_time import run


def lease(namespace: str, holder: str = "pod", *, name: str = "hca-operator", scope: str = "cluster") -> Manifest:
    metadata = {"namespace": namespace, "name": name, "labels": {"hca-operator.io/scope": scope}}
    return {"kind": "Lease", "metadata": metadata, "spec": {"holderIdentity": holder}}


def spam(count: int) -> list[Manifest]:
    """So many Leases of a tenant, each with a holder of its own."""
    return [lease("a-tenant", f"pod-{number}", name=f"lease-{number}") for number in range(count)]


class Proofs:
    """Who is asked about, in a store of pods and rights."""

    def __init__(self, client: Client) -> None:
        self.store = client.store
        self._proofs = InstallProofs(client, lambda: asyncio.get_running_loop().time())

    async def namespaces(self, leases: Sequence[Manifest]) -> list[str]:
        return [each["metadata"]["namespace"] for each in await self._proofs.proven(leases)]


def test_the_review_is_about_the_account_in_the_namespace_of_the_lease() -> None:
    subject, access = review_of(Holder("hca-system", "hca-1", namespaced=False), "hca")
    assert subject == {
        "user": "system:serviceaccount:hca-system:hca",
        "groups": ["system:serviceaccounts", "system:serviceaccounts:hca-system", "system:authenticated"],
    }
    status = {"group": "hca-operator.io", "resource": "highconcurrencyapis", "subresource": "status", "verb": "patch"}
    assert access == {"resourceAttributes": {**status, "namespace": ""}}, "in all namespaces"
    _, access = review_of(Holder("shop", "hca-1", namespaced=True), "hca")
    assert access == {"resourceAttributes": {**status, "namespace": "shop"}}


def test_the_proven_come_first_and_the_namespaces_of_others_last_one_holder_of_each_at_a_time() -> None:
    noisy = [Holder("a-tenant", f"pod-{number}", namespaced=False) for number in range(3)]
    quiet, known = Holder("b", "pod", namespaced=False), Holder("c", "pod", namespaced=False)
    assert in_fair_order([*noisy, quiet, known], [], []) == [noisy[0], quiet, known, *noisy[1:]]
    assert in_fair_order([*noisy, quiet, known], [known], ["a-tenant"]) == [known, quiet, *noisy]
    assert in_fair_order([quiet, quiet], [], []) == [quiet]


@pytest.mark.parametrize(
    ("scope", "rights", "counts"),
    [
        ("cluster", {""}, True),
        ("cluster", {"shop"}, False),
        ("cluster", set[str](), False),
        ("namespace", {""}, True),
        ("namespace", {"shop"}, True),
        ("namespace", {"another"}, False),
    ],
)
def test_a_lease_counts_if_its_holder_may_write_the_status_of_the_objects(
    scope: str, rights: set[str], *, counts: bool
) -> None:
    store = Store()
    store.accounts["shop", "pod"] = "own"
    store.rights = {("system:serviceaccount:shop:own", namespace) for namespace in rights}
    assert run(Proofs(Client(store)).namespaces([lease("shop", scope=scope)])) == ["shop"] * counts


def test_a_lease_whose_holder_is_no_pod_of_its_namespace_does_not_count() -> None:
    store = Store()
    store.install("hca-system", "hca-1")
    assert run(Proofs(Client(store)).namespaces([lease("a-tenant", "hca-1")])) == []


def test_thousands_of_leases_cost_few_reviews_and_hide_no_install() -> None:
    store = Store()
    store.install("hca-system", "pod")
    store.accounts |= {("a-tenant", f"pod-{number}"): "default" for number in range(2000)}
    leases = [*spam(2000), lease("hca-system")]

    async def main() -> None:
        proofs = Proofs(Client(store))
        for _ in range(3):
            store.reviews = 0
            assert await proofs.namespaces(leases) == ["hca-system"]
            assert store.reviews <= MOST_REFUTED + 1

    run(main())


def test_an_install_in_each_namespace_is_found_at_once() -> None:
    store = Store()
    teams = [f"team-{number}" for number in range(3 * MOST_REFUTED)]
    for team in teams:
        store.install(team, "pod", namespaced=True)
    assert run(Proofs(Client(store)).namespaces([lease(team, scope="namespace") for team in teams])) == teams


def test_an_answer_is_used_for_a_while() -> None:
    store = Store()
    store.install("hca-system", "pod")
    store.accounts["a-tenant", "pod"] = "default"

    async def main() -> None:
        proofs, leases = Proofs(Client(store)), [lease("a-tenant"), lease("hca-system")]
        for pause, reviews in ((0.0, 2), (REFUTED_SECONDS - 1, 2), (2.0, 3), (PROVEN_SECONDS, 5)):
            await asyncio.sleep(pause)
            assert await proofs.namespaces(leases) == ["hca-system"]
            assert store.reviews == reviews
        store.rights.clear()
        await asyncio.sleep(PROVEN_SECONDS)
        assert await proofs.namespaces(leases) == []

    run(main())


def test_who_may_not_ask_respects_every_lease_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    class MayNotAsk(Client):
        async def create(self, manifest: Manifest) -> Manifest:
            raise Forbidden(f"POST {manifest['kind']}: cannot create")

    store = Store()
    store.accounts |= {("a-tenant", f"pod-{number}"): "default" for number in range(3)}
    with caplog.at_level(logging.WARNING):
        assert run(Proofs(MayNotAsk(store)).namespaces(spam(3))) == ["a-tenant"] * 3
    (record,) = caplog.records
    assert "is respected, whoever holds it: POST SubjectAccessReview: cannot create" in record.getMessage()


def test_without_an_answer_nothing_is_decided() -> None:
    class NoAnswer(Client):
        async def create(self, manifest: Manifest) -> Manifest:
            raise Transient(f"POST {manifest['kind']}: time-out")

    store = Store()
    store.accounts["a-tenant", "pod"] = "default"
    with pytest.raises(Transient):
        run(Proofs(NoAnswer(store)).namespaces([lease("a-tenant")]))


def keeps_renewing(store: Store, leases: list[Manifest]) -> asyncio.Task[None]:
    """A tenant who renews Leases ten times a second."""

    async def renew() -> None:
        while True:
            for each in leases:
                each["spec"]["renewTime"] = str(asyncio.get_running_loop().time())
                store.put(each)
            await asyncio.sleep(0.1)

    return asyncio.create_task(renew())


def test_fault_75_a_lease_that_a_tenant_renews_holds_up_nobody() -> None:
    store = Store()
    store.accounts["a-tenant", "pod"] = "default"
    seen: list[object] = []

    async def scenario(election: Election) -> None:
        tenant = keeps_renewing(store, [lease("a-tenant"), lease("a-tenant", name="own", scope="namespace")])
        await asyncio.sleep(1)
        election.start("own", leader(store.client(), "x"))
        await election.watch(2)
        seen.extend((election.leaders["own"].rival, election.leaders["own"].elsewhere))
        tenant.cancel()

    assert elect(scenario).seen[-1][1] == ("own",)
    assert seen == [None, frozenset()]


@pytest.mark.parametrize(
    ("count", "size"),
    [(20_000, 0), (200, 1_000_000)],
    ids=["thousands", "large"],
)
def test_fault_75_many_or_large_leases_of_a_tenant_are_not_read(count: int, size: int) -> None:
    store = Store()
    for each in spam(count):
        each["metadata"]["annotations"] = {"note": "x" * size}
        store.leases["a-tenant", each["metadata"]["name"]] = each  # one text for all of them
    store.put(lease("hca-system"))
    store.install("hca-system", "pod")
    found: list[str | None] = []

    async def scenario(election: Election) -> None:
        one = leader(store.client(), "x")
        election.start("own", one)
        await election.watch(4)
        found.append(one.rival)

    elect(scenario)
    assert found == ["hca-system"], "an install behind them is found"
    (least,) = {len(str(each)) for each in spam(1)}
    assert sum(store.pages_read) < 3 + MOST_BYTES_OF_A_NAMESPACE / least + 20, "the tenant's are read once"


@pytest.mark.parametrize("scope", ["cluster", "namespace"])
def test_fault_75_leases_of_a_tenant_hold_up_no_candidate_where_answers_are_slow(scope: str) -> None:
    class Slow(Client):
        async def list(self, kind: str, namespace: str, **selectors: str) -> list[Manifest]:
            await asyncio.sleep(0.1)
            return await super().list(kind, namespace, **selectors)

        async def create(self, manifest: Manifest) -> Manifest:
            await asyncio.sleep(0.1)
            return await super().create(manifest)

    store = Store()
    store.install("team", "pod", namespaced=True)
    store.accounts |= {("a-tenant", f"pod-{number}"): "default" for number in range(100)}
    theirs = [lease("a-tenant", f"pod-{number}", name=f"lease-{number}", scope=scope) for number in range(100)]
    found: list[object] = []

    async def scenario(election: Election) -> None:
        tenant = keeps_renewing(store, [*theirs, lease("team", scope="namespace")])
        await asyncio.sleep(1)
        election.start("own", leader(Slow(store), "x"))
        await election.watch(15)
        found.append(election.leaders["own"].elsewhere)
        tenant.cancel()

    assert elect(scenario).seen[-1][1] == ("own",)
    assert found == [{"team"}]
