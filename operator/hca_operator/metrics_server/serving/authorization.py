"""Authorizes requests by SubjectAccessReviews, whose answers are cached, a yes for longer than a no."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from hca_operator.core.names import Manifest
from hca_operator.core.ports import Creator
from hca_operator.metrics_server.serving.authentication import User

ALLOWED_SECONDS = 300.0
"""For which a yes is cached, as in kube-apiserver's own webhook authorizer. With less than the 15 s between two
requests of an autoscaler, each of them would cause a review."""
DENIED_SECONDS = 10.0
"""For which a no is cached: a user who gets a right should not wait long for it."""
MOST_CACHED = 16_384
"""Answers, 30 MiB: three metrics of 5,000 objects, each in a namespace of its own. Requests for ever new names must not
fill the memory."""
MASTERS = "system:masters"
"""A group that may do everything, by definition and without a review."""


@dataclass(frozen=True)
class Access:
    """What a request wants: a resource of a namespace or, without one, a path."""

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
class _Answer:
    allowed: "asyncio.Task[bool]"
    asked_at: float

    def holds(self, now: float) -> bool:
        """Whether the answer is used again: also while it is pending, but not after an error."""
        if not self.allowed.done():
            return True
        if self.allowed.exception() is not None:
            return False
        return now - self.asked_at <= (ALLOWED_SECONDS if self.allowed.result() else DENIED_SECONDS)


class Authorizer:
    """Sends and caches reviews. Requests that need the same one at the same time share it."""

    def __init__(self, server: Creator, clock: Callable[[], float]) -> None:
        self._server = server
        self._clock = clock
        self._answers: OrderedDict[tuple[User, Access], _Answer] = OrderedDict()

    async def allows(self, user: User, access: Access) -> bool:
        """Whether a user may. Raises HcaError if the API server cannot say, which is not cached."""
        if MASTERS in user.groups:
            return True
        question, now = (user, access), self._clock()
        answer = self._answers.get(question)
        if answer is None or not answer.holds(now):
            answer = _Answer(asyncio.create_task(self._review(user, access)), now)
            self._answers[question] = answer
            self._answers.move_to_end(question)
            while len(self._answers) > MOST_CACHED:
                self._answers.popitem(last=False)
        # A request that is cancelled must not cancel the review for the others.
        return await asyncio.shield(answer.allowed)

    async def _review(self, user: User, access: Access) -> bool:
        review = await self._server.create(
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
