from datetime import UTC, datetime, timedelta

import pytest

from hca_operator.core.errors import Transient
from hca_operator.core.names import Manifest
from hca_operator.metrics_server.serving.certificate import VALIDITY, Credentials
from hca_operator.metrics_server.serving.credentials_secret import current_credentials

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HOSTS = ["metrics.sys.svc"]


class Cluster:
    """One Secret, with optimistic concurrency."""

    def __init__(self, secret: Manifest | None) -> None:
        self.secret = secret
        self.writes = 0

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        assert (kind, namespace, name) == ("Secret", "sys", "metrics")
        return self.secret

    async def replace(self, manifest: Manifest) -> Manifest:
        assert self.secret is not None
        if manifest["metadata"]["resourceVersion"] != self.secret["metadata"]["resourceVersion"]:
            raise Transient("PUT Secret sys/metrics: the object has been modified")
        self.writes += 1
        version = str(int(manifest["metadata"]["resourceVersion"]) + 1)
        self.secret = {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": version}}
        return self.secret


def empty() -> Manifest:
    metadata = {"name": "metrics", "namespace": "sys", "resourceVersion": "1", "labels": {"of": "the chart"}}
    return {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata}


async def look(cluster: Cluster, now: datetime = NOW) -> Credentials:
    return await current_credentials(cluster, "sys", "metrics", HOSTS, now)


async def test_an_empty_secret_is_filled_once_and_keeps_what_else_it_has() -> None:
    cluster = Cluster(empty())
    made = await look(cluster)
    assert await look(cluster) == made
    assert cluster.writes == 1
    assert cluster.secret is not None
    assert (cluster.secret["type"], cluster.secret["metadata"]["labels"]) == ("Opaque", {"of": "the chart"})
    renewed = await look(cluster, NOW + VALIDITY)
    assert (renewed.bundle, cluster.writes) == (made.bundle, 2)


async def test_of_two_replicas_one_fills_it_and_the_other_reads() -> None:
    cluster = Cluster(empty())

    class Slower(Cluster):
        async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
            seen = await cluster.get(kind, namespace, name)
            await look(cluster)
            return seen

        async def replace(self, manifest: Manifest) -> Manifest:
            return await cluster.replace(manifest)

    with pytest.raises(Transient, match="modified"):
        await look(Slower(None))
    assert cluster.writes == 1
    assert await look(cluster) == Credentials.parse((cluster.secret or {})["data"])


async def test_a_secret_that_is_not_there_is_not_made() -> None:
    with pytest.raises(Transient, match="Secret sys/metrics does not exist: run helm upgrade, which creates it"):
        await look(Cluster(None))


async def test_what_another_client_has_put_there_is_replaced() -> None:
    cluster = Cluster({**empty(), "data": {"tls.crt": "c3R1ZmY="}})
    made = await look(cluster, NOW + timedelta(days=1))
    assert made.served().not_valid_before_utc > NOW
