"""What can go wrong between an operator and the API server."""

import asyncio
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from tests.controlplane.meddler import Answer, Ask, Asked, Event, Fault


def failure(status: int, reason: str, **headers: str) -> Answer:
    """A refusal in the API server's words."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": status}
    return Answer(
        status, json.dumps(body | {"message": reason}).encode(), {"Content-Type": "application/json"} | headers
    )


class Killed(Fault):
    """The operator dies when its k-th write in a namespace is done, before it learns so: once for each namespace.

    Whether it learns of the answer makes no difference to what is stored: no later write of the same life gets through.
    """

    def __init__(self, after: Mapping[str, int], kill: Callable[[], None]) -> None:
        """`after` is k by namespace."""
        self.deaths = 0
        self._left = dict(after)
        self._kill = kill
        self._one_at_a_time = asyncio.Lock()

    async def answer(self, asked: Asked, ask: Ask) -> Answer:
        if not asked.writes:
            return await ask(asked)
        life = self.deaths
        async with self._one_at_a_time:
            if life != self.deaths:
                return failure(503, "of a former life")
            answer = await ask(asked)
            self._left[asked.namespace] = self._left.get(asked.namespace, 0) - 1
            if self._left[asked.namespace] == 0:
                self.deaths += 1
                self._kill()
            return answer

    @property
    def over(self) -> bool:
        """Whether it has died in every namespace."""
        return all(left <= 0 for left in self._left.values())


class Dropped(Fault):
    """Some events never come."""

    def __init__(self, unwanted: Callable[[Event], bool]) -> None:
        self._unwanted = unwanted

    async def lets_through(self, event: Event) -> bool:
        return event.type == "BOOKMARK" or not self._unwanted(event)


class Delayed(Fault):
    """Events of some resources come only when this is over."""

    def __init__(self, resources: Collection[str]) -> None:
        self._resources = resources
        self._over = asyncio.Event()

    async def lets_through(self, event: Event) -> bool:
        if event.resource in self._resources:
            await self._over.wait()
        return True

    def end(self) -> None:
        self._over.set()


class Past(Delayed):
    """An API server that is behind: some resources stay as they were at a version, asked for or watched.

    It is the API server itself that remembers: lists can be asked for as of a version.
    """

    def __init__(self, version: str, resources: Collection[str]) -> None:
        super().__init__(resources)
        self._version = version

    async def answer(self, asked: Asked, ask: Ask) -> Answer:
        if asked.verb != "GET" or asked.watches or asked.resource not in self._resources:
            return await ask(asked)
        exactly = {"resourceVersion": self._version, "resourceVersionMatch": "Exact"}
        if not asked.name:
            return await ask(replace(asked, query={**asked.query, **exactly}))
        everything = asked.path.removesuffix(f"/{asked.name}")
        only = {"fieldSelector": f"metadata.name={asked.name}"}
        answer = await ask(replace(asked, path=everything, query=only | exactly))
        listed = json.loads(answer.body)
        if not listed["items"]:
            return failure(404, "NotFound")
        (item,) = listed["items"]
        kind = {"apiVersion": listed["apiVersion"], "kind": listed["kind"].removesuffix("List")}
        return replace(answer, body=json.dumps(kind | item).encode())


class Expired(Fault):
    """The first watch of each resource starts too far back."""

    def __init__(self) -> None:
        self._reported: set[str] = set()

    async def answer(self, asked: Asked, ask: Ask) -> Answer:
        if not asked.watches or asked.resource in self._reported:
            return await ask(asked)
        self._reported.add(asked.resource)
        gone = failure(410, "Expired")
        return Answer(200, b'{"type": "ERROR", "object": %b}\n' % gone.body, gone.headers)


class Overloaded(Fault):
    """The API server takes no requests but those for Leases, which have a priority of their own."""

    def __init__(self) -> None:
        self.refused = 0

    async def answer(self, asked: Asked, ask: Ask) -> Answer:
        if asked.resource == "leases":
            return await ask(asked)
        self.refused += 1
        return failure(429, "TooManyRequests", **{"Retry-After": "1"})


class Failed(Fault):
    """The first request with a verb for a resource fails, and nothing is done."""

    def __init__(self, verb: str, resource: str) -> None:
        self.over = False
        self._failing = verb, resource

    async def answer(self, asked: Asked, ask: Ask) -> Answer:
        if self.over or (asked.verb, asked.resource) != self._failing:
            return await ask(asked)
        self.over = True
        return failure(500, "InternalError")


class Slow(Fault):
    """Each answer takes its time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def answer(self, asked: Asked, ask: Ask) -> Answer:
        await asyncio.sleep(self._seconds)
        return await ask(asked)
