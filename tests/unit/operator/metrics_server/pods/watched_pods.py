"""Objects and pods, and an API server whose lists and watches a test can hold back and add to."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

from hca_operator.core.errors import Transient
from hca_operator.core.names import API_LABEL, KIND, Manifest
from tests.unit.operator.objects import manifest

CONCURRENCY = {"metrics": [{"name": "in-flight", "type": "Concurrency"}]}


def api(name: str = "shop", **spec: Any) -> Manifest:
    made = manifest(**{"autoscaling": CONCURRENCY, **spec})
    made["metadata"]["name"] = name
    return made


def pod(name: str, *, of: str = "shop", ready: str = "True") -> Manifest:
    metadata = {"name": name, "namespace": "default", "uid": name, "labels": {API_LABEL: of}, "resourceVersion": "1"}
    status = {"podIP": "10.0.0.7", "conditions": [{"type": "Ready", "status": ready}]}
    return {"metadata": metadata, "status": status}


class Server:
    """Lists and watches, which a test can hold back and add to."""

    def __init__(self, apis: Sequence[Manifest], pods: Sequence[Manifest]) -> None:
        self.listed = {KIND: apis, "Pod": pods}
        self.may_list = {KIND: asyncio.Event(), "Pod": asyncio.Event()}
        self.events: dict[str, asyncio.Queue[tuple[str, Manifest]]] = {KIND: asyncio.Queue(), "Pod": asyncio.Queue()}

    async def pages(self, kind: str, namespace: str, **selectors: str) -> AsyncIterator[tuple[Sequence[Manifest], int]]:
        assert namespace == ""
        assert selectors == ({"labelSelector": API_LABEL} if kind == "Pod" else {})
        await self.may_list[kind].wait()
        yield self.listed[kind], 1

    async def watch(
        self, kind: str, namespace: str, version: int, **selectors: str
    ) -> AsyncIterator[tuple[str, Manifest]]:
        assert (namespace, version, selectors) == ("", 1, {"labelSelector": API_LABEL} if kind == "Pod" else {})
        while True:
            event = await self.events[kind].get()
            if event[0] == "ERROR":
                raise Transient("the API server is away")
            yield event


async def together(*work: Coroutine[Any, Any, None]) -> None:
    """Run until cancelled, or until one fails."""
    async with asyncio.TaskGroup() as tasks:
        for each in work:
            tasks.create_task(each)
