"""What a caller may ask for: the API server is asked, and its word holds for a while, a yes for longer than a no."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from hca_operator.core.names import Manifest
from hca_operator.metrics_server.serving.authentication import User

ALLOWED_LASTS = 300.0
"""Seconds for which a yes holds, as kube-apiserver has it with those that it asks itself. With less than the 15 s
between two looks of an autoscaler, the API server would be asked anew at each of them."""
DENIED_LASTS = 10.0
"""Seconds for which a no holds: whoever is given a right does not wait for it."""
REMEMBERED = 16_384
"""Answers at most, 30 MiB: three metrics of 5,000 objects, each in a namespace of its own. Whoever asks for ever new
names must not fill the memory."""
MASTERS = "system:masters"
"""May do everything, by definition and without being asked about."""


class Reviewer(Protocol):
    """The API server."""

    async def create(self, manifest: Manifest) -> Manifest:
        """A new object; the answer to a review is its status."""


@dataclass(frozen=True)
class Access:
    """What a request wants: a resource of a namespace or, without one, a path."""

    path: str
    namespace: str = ""
    group: str = ""
    version: str = ""
    resource: str = ""

    def attributes(self) -> Manifest:
        """As a SubjectAccessReview names it. A GET of what has no name is a `list`."""
        if not self.resource:
            return {"nonResourceAttributes": {"path": self.path, "verb": "get"}}
        place = {"namespace": self.namespace, "group": self.group, "version": self.version, "resource": self.resource}
        return {"resourceAttributes": {**place, "verb": "list"}}


@dataclass(frozen=True)
class _Answer:
    allowed: "asyncio.Task[bool]"
    asked_at: float

    def holds(self, now: float) -> bool:
        """While it is waited for, too, but not where nobody could tell."""
        if not self.allowed.done():
            return True
        if self.allowed.exception() is not None:
            return False
        return now - self.asked_at <= (ALLOWED_LASTS if self.allowed.result() else DENIED_LASTS)


class Authorizer:
    """Asks and remembers. Callers that want to know the same at the same time cause one request."""

    def __init__(self, reviewer: Reviewer, clock: Callable[[], float]) -> None:
        self._reviewer = reviewer
        self._clock = clock
        self._answers: OrderedDict[tuple[User, Access], _Answer] = OrderedDict()

    async def allows(self, user: User, access: Access) -> bool:
        """Whether a user may. Raises HcaError where nobody can tell, and that is not remembered."""
        if MASTERS in user.groups:
            return True
        question, now = (user, access), self._clock()
        answer = self._answers.get(question)
        if answer is None or not answer.holds(now):
            answer = _Answer(asyncio.create_task(self._review(user, access)), now)
            self._answers[question] = answer
            self._answers.move_to_end(question)
            while len(self._answers) > REMEMBERED:
                self._answers.popitem(last=False)
        # One caller that hangs up must not take the answer away from the others.
        return await asyncio.shield(answer.allowed)

    async def _review(self, user: User, access: Access) -> bool:
        review = await self._reviewer.create(
            {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SubjectAccessReview",
                "metadata": {},
                "spec": {
                    "user": user.name,
                    "uid": user.uid,
                    "groups": list(user.groups),
                    "extra": {key: list(values) for key, values in user.extra},
                    **access.attributes(),
                },
            }
        )
        # A denial wins over what another authorizer may have allowed.
        status = review.get("status") or {}
        return status.get("allowed") is True and not status.get("denied")
