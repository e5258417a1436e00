"""What a caller may ask for: the API server is asked, and its word holds for ten seconds, yes and no alike."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from hca_operator.metrics_api.authentication import User
from hca_operator.names import Manifest

LASTS = 10.0
"""Seconds for which an answer holds, as with every server that asks kube-apiserver."""
REMEMBERED = 4096
"""Answers at most; whoever asks for ever new names must not fill the memory."""
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
        question = (user, access)
        answer = self._answers.get(question)
        if answer is None or self._clock() - answer.asked_at > LASTS:
            answer = _Answer(asyncio.create_task(self._review(user, access)), self._clock())
            self._answers[question] = answer
            self._answers.move_to_end(question)
            while len(self._answers) > REMEMBERED:
                self._answers.popitem(last=False)
        try:
            # One caller that hangs up must not take the answer away from the others.
            return await asyncio.shield(answer.allowed)
        except Exception:
            if self._answers.get(question) is answer:
                del self._answers[question]
            raise

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
