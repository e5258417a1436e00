"""From watch events to keys in the queue: the only module that registers handlers with kopf.

Handlers of kopf's `on.event` are never retried and their errors are dropped, so they do nothing but remember what they
are told and add a key. No other kind of handler is used: they would write finalizers and annotations
(docs/design/0001).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import kopf

from hca_operator.controller.work_queue import WorkQueue
from hca_operator.core.names import GROUP, PLURAL, VERSION, Manifest
from hca_operator.core.observed import edited
from hca_operator.core.ports import Key
from hca_operator.kube.object_cache import ObjectCache
from hca_operator.kube.watch import LONGEST_WAIT, ForeverWithJitter


def register(
    registry: kopf.OperatorRegistry,
    queue: WorkQueue[Key],
    objects: ObjectCache,
    *,
    stopping: Callable[[], Awaitable[None]],
) -> None:
    """Register the handler: an object of which an event tells something new is remembered and put into the queue.

    `stopping` is awaited as soon as the process is told to end.
    """

    @kopf.on.event(GROUP, VERSION, PLURAL, id="object", registry=registry)
    async def _object(event: kopf.RawEvent, **_: Any) -> None:  # noqa: ANN401
        manifest: Manifest = dict(event["object"])
        key = Key(manifest["metadata"]["namespace"], manifest["metadata"]["name"])
        if event["type"] == "DELETED":
            objects.remove(manifest)
            queue.add(key)
        elif objects.update(manifest):  # as a rule it is as the operator has just left it
            if edited(manifest):
                queue.add(key, urgent=True)
            else:
                queue.add_soon(key)

    @kopf.on.cleanup(registry=registry)
    async def _cleanup(**_: Any) -> None:  # noqa: ANN401
        await stopping()

    @kopf.on.login(registry=registry)
    def _login(**kwargs: Any) -> kopf.ConnectionInfo | None:  # noqa: ANN401
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)


def operator_settings(*, clusterwide: bool) -> kopf.OperatorSettings:
    """Settings under which kopf only watches: it posts nothing, locks nothing and marks nothing.

    With the rights of a few namespaces it cannot look for definitions that come and go.
    """
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = not clusterwide
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.persistence.finalizer = f"{GROUP}/unused"
    # kopf's default ends after 54 seconds of errors and the watcher with it, for good; nothing would start it again.
    settings.networking.error_backoffs = ForeverWithJitter(LONGEST_WAIT)
    settings.networking.connect_timeout = 5
    settings.networking.request_timeout = 30
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    return settings


def watching(namespace: str) -> bool:
    """Whether kopf watches the objects of a namespace ("": of the cluster)."""
    return any(
        task.get_name().startswith(f"watcher for {PLURAL}.") and task.get_name().endswith(f"@{namespace or None}")
        for task in asyncio.all_tasks()
        if not task.done()
    )
