"""When objects of some kinds came and changed, from watches: asking for them would be load of its own."""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Self

import httpx

from tests.controlplane.api_server import PATHS, eventually
from tests.controlplane.kubeconfig import client_context, server_of
from tests.controlplane.objects import CHILDREN

Slot = tuple[str, str]
"""Kind and name."""
KINDS = tuple(dict.fromkeys(kind for kind, _ in CHILDREN))
PATIENCE = 600.0
METADATA_ALONE = {"Accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"}


class Sighting(NamedTuple):
    """A state of an object, and when it was seen on the monotonic clock."""

    version: int
    at: float


class Sightings:
    """Every state of the objects of some kinds in all namespaces, from entering the context to leaving it."""

    def __init__(self, kubeconfig: Path, kinds: Sequence[str], selector: str) -> None:
        self._http = httpx.AsyncClient(
            base_url=server_of(kubeconfig), verify=client_context(kubeconfig), trust_env=False, headers=METADATA_ALONE,
            timeout=httpx.Timeout(30, read=None),
        )  # fmt: skip
        self._kinds = kinds
        self._selector = selector
        self._seen: dict[Slot, list[Sighting]] = defaultdict(list)
        self._watched: set[str] = set()

    def __enter__(self) -> Self:
        self._thread = ThreadPoolExecutor(1)
        self._watching = self._thread.submit(asyncio.run, self._watch_all())
        eventually(lambda: self._watched == set(self._kinds))
        return self

    def __exit__(self, *_error: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.shutdown()

    def since(self, kind: str, name: str, version: int = 0) -> float | None:
        """When a state of an object after a version was first seen, None while it was not."""
        if self._watching.done():
            self._watching.result()
        return next((seen.at for seen in self._seen.get((kind, name), ()) if seen.version > version), None)

    def complete_at(self, name: str) -> float:
        """When the last of an object's children was first seen; waits for it."""

        def complete() -> float | None:
            seen = [self.since(kind, child.format(name)) for kind, child in CHILDREN]
            return max(at for at in seen if at is not None) if all(seen) else None

        at = eventually(complete, within=PATIENCE)
        assert at is not None
        return at

    def versions(self) -> dict[Slot, int]:
        """The last version of each object."""
        return {slot: seen[-1].version for slot, seen in list(self._seen.items())}

    async def _watch_all(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with self._http:
            watches = [asyncio.create_task(self._watch(kind)) for kind in self._kinds]
            stop = asyncio.create_task(self._stop.wait())
            ended, rest = await asyncio.wait([*watches, stop], return_when=asyncio.FIRST_COMPLETED)
            for task in rest:
                task.cancel()
            for task in ended:
                task.result()

    async def _watch(self, kind: str) -> None:
        path = PATHS[kind].replace("/namespaces/{}", "")
        query = {"watch": "true", "labelSelector": self._selector, "timeoutSeconds": "7200"}
        async with self._http.stream("GET", path, params=query) as answer:
            answer.raise_for_status()
            self._watched.add(kind)
            async for line in answer.aiter_lines():
                event = json.loads(line)
                metadata = event["object"]["metadata"]
                sighting = Sighting(int(metadata["resourceVersion"]), time.monotonic())
                self._seen[kind, metadata["name"]].append(sighting)
        raise AssertionError(f"the watch of {kind} has ended")
