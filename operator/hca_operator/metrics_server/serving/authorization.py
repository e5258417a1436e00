"""Authorizes requests by SubjectAccessReviews, whose answers are cached."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from hca_operator.core.names import Manifest
from hca_operator.core.ports import Creator
from hca_operator.kube.access_review import allows
from hca_operator.metrics_server.serving.authentication import User

ALLOWED_SECONDS = 300.0
"""For which an allowed request is cached, as in kube-apiserver's webhook authorizer. With less than 15 s, the interval
of a HorizontalPodAutoscaler, each of its requests would cause a review."""
DENIED_SECONDS = 10.0
"""For which a denied request is cached: a user who is granted a right should not wait long for it."""
MOST_CACHED = 16_384
"""Most answers that are cached, in 30 MiB: those for three metrics of 5,000 objects, each in a namespace of its own.
Requests for ever new names must not fill the memory."""
MASTERS = "system:masters"
"""The group that may do everything in Kubernetes, without a review."""


@dataclass(frozen=True)
class Access:
    """What a request accesses: a resource of a namespace or, without a namespace, a path."""

    path: str
    namespace: str = ""
    group: str = ""
    version: str = ""
    resource: str = ""

    def attributes(self) -> Manifest:
        """The attributes of a SubjectAccessReview. A GET without a name is a `list`."""
        if not self.resource:
            return {"nonResourceAttributes": {"path": self.path, "verb": "get"}}
        place = {"namespace": self.namespace, "group": self.group, "version": self.version, "resource": self.resource}
        return {"resourceAttributes": {**place, "verb": "list"}}


@dataclass(frozen=True)
class _Review:
    allowed: "asyncio.Task[bool]"
    asked_at: float

    def holds(self, now: float) -> bool:
        """Whether the answer can be used again: also while it is pending, but not after an error."""
        if not self.allowed.done():
            return True
        if self.allowed.exception() is not None:
            return False
        return now - self.asked_at <= (ALLOWED_SECONDS if self.allowed.result() else DENIED_SECONDS)


class Authorizer:
    """Sends and caches reviews. Concurrent requests with the same review share it."""

    def __init__(self, server: Creator, clock: Callable[[], float]) -> None:
        self._server = server
        self._clock = clock
        self._answers: OrderedDict[tuple[User, Access], _Review] = OrderedDict()

    async def allows(self, user: User, access: Access) -> bool:
        """Whether a user is allowed this access. Raises HcaError if the review fails, which is not cached."""
        if MASTERS in user.groups:
            return True
        question, now = (user, access), self._clock()
        answer = self._answers.get(question)
        if answer is None or not answer.holds(now):
            answer = _Review(asyncio.create_task(self._review(user, access)), now)
            self._answers[question] = answer
            self._answers.move_to_end(question)
            while len(self._answers) > MOST_CACHED:
                self._answers.popitem(last=False)
        # A request that is cancelled must not cancel the review for the others.
        return await asyncio.shield(answer.allowed)

    async def _review(self, user: User, access: Access) -> bool:
        subject = {
            "user": user.name,
            "uid": user.uid,
            "groups": list(user.groups),
            "extra": {key: list(values) for key, values in user.extra},
        }
        return await allows(self._server, subject, access.attributes())
