"""What the operator keeps of the API server's answers."""

from typing import cast

import pytest

from hca_operator.core.errors import Transient
from hca_operator.core.ports import WritableCluster
from hca_operator.kube.cache import ManifestCache
from hca_operator.kube.cached_client import CachedClient
from hca_operator.kube.object_cache import ObjectCache
from tests.unit.operator.fake_cluster import FakeCluster


async def test_a_pod_that_could_not_be_patched_leaves_no_mark_that_nothing_clears() -> None:
    server = FakeCluster(fail_at=0, error=Transient("no answer"))
    client = CachedClient(cast("WritableCluster", server), ManifestCache(), ObjectCache())
    pod = {"kind": "Pod", "metadata": {"name": "shop-1", "namespace": "default", "uid": "1"}}
    with pytest.raises(Transient):
        await client.patch(pod, [])
    assert not client.is_uncertain("Pod", "default", "shop-1")
