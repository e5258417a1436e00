"""An API whose first pod is over its threshold, and what tests ask about its replacement."""

from typing import Any

from hca_operator.core.names import HASH_LABEL, Manifest
from hca_operator.core.observed import condition
from tests.unit.operator.objects import NAME, NAMESPACE
from tests.unit.operator.restarts.test_memory import reading
from tests.unit.operator.restarts.test_restarts import API, World, running

LABELS = {"hca-operator.io/api": NAME, "hca-operator.io/track": "stable"}


def pod(number: int, *, ready: bool = True) -> Manifest:
    """A pod as its ReplicaSet made it."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"shop-{number}",
            "namespace": NAMESPACE,
            "uid": f"uid-of-{number}",
            "labels": {**LABELS, HASH_LABEL: "abc"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "shop-abc", "uid": "rs", "controller": True}],
        },
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
    }


async def with_pods(count: int = 2, **fields: Any) -> World:
    """An API that serves, whose first pod is over its threshold."""
    world = await running(**fields)
    for number in range(count):
        world.cluster.put(pod(number))
    await world.look()
    grow(world)
    return world


def grow(world: World, number: int = 0) -> None:
    for sample in range(3):
        world.memory.take([reading(f"shop-{number}", 500, sample)])


def the_pod(world: World, number: int = 0) -> Manifest:
    return world.cluster.objects["Pod", NAMESPACE, f"shop-{number}"]


def going(world: World) -> bool:
    return "deletionTimestamp" in the_pod(world)["metadata"]


def remove(world: World) -> None:
    """The pod goes, and with it its readings."""
    world.cluster.remove(("Pod", NAMESPACE, "shop-0"), "uid-of-0")
    world.memory.take([])


def healthy(world: World) -> tuple[str, str]:
    found = condition(world.cluster.objects[API], "MemoryHealthy")
    return found["status"], found["reason"]


def counted(world: World) -> Manifest:
    found: Manifest = world.cluster.objects[API]["status"].get("memoryRestarts", {})
    return found


def replica_set(world: World) -> Manifest | None:
    return world.cluster.objects.get(("ReplicaSet", NAMESPACE, "shop-0"))
