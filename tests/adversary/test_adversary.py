"""A hostile tenant beside twenty honest ones: neither the operator nor they notice. In large: tests/soak."""

import fcntl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.adversary.hostile_pods import HONEST, answering
from tests.adversary.neighbourhood import neighbourhood
from tests.adversary.siege import Siege, Size
from tests.machine import machine

SMALL = Size(objects=60, large_objects=4, large_pods=16, pods=1)


@pytest.fixture
def beside_others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with machine(tmp_path_factory, fcntl.LOCK_SH):
        yield


@pytest.mark.usefixtures("beside_others")
def test_a_tenant_who_may_create_objects_and_pods_disturbs_no_other(
    tmp_path: Path, figures: Callable[[str], None]
) -> None:
    with answering() as ports, neighbourhood(tmp_path / "first", ports[HONEST]) as near:
        siege = Siege(near, SMALL, {name: port for name, port in ports.items() if name != HONEST})
        siege.hold()
        for line in (*siege.figures(), *near.guard.figures()):
            figures(line)
        with near.another_replica("second") as guard:
            for line in guard.figures():
                figures(f"a replica that starts beside it, {line}")
