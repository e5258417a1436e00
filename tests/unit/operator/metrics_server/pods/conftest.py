"""What tests of the scraper share."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from hca_operator.core.names import Manifest
from hca_operator.metrics_server.pods import scraper as module
from tests.unit.operator import virtual_time
from tests.unit.operator.metrics_server.pods.scraper_world import Answer, Play, World, one
from tests.unit.operator.metrics_server.pods.watched_pods import api


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def run(
        play: Play, *pods: Manifest, apis: Sequence[Manifest] = (), answer: Answer = one, listed: bool = True
    ) -> None:
        async def main() -> None:
            world = World(apis or [api()], pods, answer)
            monkeypatch.setattr(module, "scrape", world.scrape)
            if listed:
                for event in world.server.may_list.values():
                    event.set()
            async with virtual_time.beside(world.run()):
                await asyncio.sleep(0)
                await play(world)
            assert not world.running.total(), "nothing is asked any more at the end"

        virtual_time.run(main())

    return run
