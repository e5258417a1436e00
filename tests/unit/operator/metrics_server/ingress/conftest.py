"""A reader of the ingress beside a test."""

from collections.abc import Sequence

import pytest

from hca_operator.core.names import KIND, Manifest
from hca_operator.metrics_server.pods.scrape import PodClient
from tests.unit.operator import virtual_time
from tests.unit.operator.metrics_server.ingress.virtual_envoys import Cluster, Play, Player, World, api, envoy


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Player:
    def run(
        play: Play, clusters: dict[str, dict[str, Cluster]], *, apis: Sequence[Manifest] = (), listed: bool = True
    ) -> None:
        async def main() -> None:
            world = World({KIND: apis or [api()], "Pod": [envoy(name) for name in clusters]}, clusters)
            monkeypatch.setattr(PodClient, "fetch", lambda _self, _api, target, _answer: world.fetch(target))
            if listed:
                world.may_list.set()
            async with virtual_time.beside(world.run()):
                await play(world)

        virtual_time.run(main())

    return run
