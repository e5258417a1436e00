"""From watch events to keys in the queue: the only module that registers handlers with kopf.

Handlers of kopf's `on.event` are never retried and their errors are dropped, so they do nothing but add a key.
No other kind of handler is used: they would write finalizers and annotations (docs/design/0001).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from random import Random
from typing import Any

import kopf

from hca_operator.desired import CHILD_KINDS
from hca_operator.kube import RESOURCES
from hca_operator.names import API_LABEL, GROUP, KIND, PLURAL, VERSION, Manifest
from hca_operator.observed import controller_of
from hca_operator.queue import WorkQueue
from hca_operator.reconcile import Key

WATCHED_KINDS = (KIND, *CHILD_KINDS)


def register(
    registry: kopf.OperatorRegistry, queue: WorkQueue[Key], *, stopping: Callable[[], Awaitable[None]]
) -> None:
    """Register the handlers: an event of an object or of one of its children puts the object into the queue.

    `stopping` is awaited as soon as the process is told to end.
    """

    @kopf.on.event(GROUP, VERSION, PLURAL, id="object", registry=registry)
    async def _object(namespace: str | None, name: str, **_: Any) -> None:  # noqa: ANN401 - kopf's signature
        queue.add(Key(str(namespace), name))

    for kind in CHILD_KINDS:
        resource = RESOURCES[kind]
        group, _, version = resource.api_version.rpartition("/")

        @kopf.on.event(group, version, resource.plural, id=f"child-{resource.plural}", registry=registry)
        async def _child(body: kopf.Body, namespace: str | None, **_: Any) -> None:  # noqa: ANN401
            if owner := owner_of(dict(body)):
                queue.add(Key(str(namespace), owner))

    @kopf.on.cleanup(registry=registry)
    async def _cleanup(**_: Any) -> None:  # noqa: ANN401
        await stopping()

    @kopf.on.login(registry=registry)
    def _login(**kwargs: Any) -> kopf.ConnectionInfo | None:  # noqa: ANN401
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)


def owner_of(child: Manifest) -> str | None:
    """Name of the object that a child belongs to, by its owner or, where that was removed by hand, by its label."""
    controller = controller_of(child)
    if controller is not None:
        ours = controller["kind"] == KIND and controller["apiVersion"].startswith(f"{GROUP}/")
        return str(controller["name"]) if ours else None
    label = child["metadata"].get("labels", {}).get(API_LABEL)
    return None if label is None else str(label)


class ForeverWithJitter:
    """Waits between tries of a watch, without an end.

    kopf's default ends after 54 seconds of errors and the watcher with it, for good; nothing would start it again.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._random = Random()  # noqa: S311 - spreads load, keeps no secret

    def __iter__(self) -> Iterator[float]:
        wait = 1.0
        while True:
            yield wait * self._random.uniform(0.8, 1.2)
            wait = min(self._longest, wait * 1.6)


def operator_settings() -> kopf.OperatorSettings:
    """Settings under which kopf only watches: it posts nothing, locks nothing and marks nothing."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.persistence.finalizer = f"{GROUP}/unused"
    settings.networking.error_backoffs = ForeverWithJitter(30)
    settings.networking.connect_timeout = 5
    settings.networking.request_timeout = 30
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    return settings


def dead_watchers() -> list[str]:
    """Resources that nobody watches (any more)."""
    alive = {task.get_name() for task in asyncio.all_tasks() if not task.done()}
    return [
        RESOURCES[kind].plural
        for kind in WATCHED_KINDS
        if not any(name.startswith(f"watcher for {RESOURCES[kind].plural}.") for name in alive)
    ]
