import asyncio

import pytest

from hca_operator.core.errors import Transient
from hca_operator.core.names import Manifest
from hca_operator.metrics_server.serving import authorization
from hca_operator.metrics_server.serving.authentication import User
from hca_operator.metrics_server.serving.authorization import ALLOWED_SECONDS, DENIED_SECONDS, Access, Authorizer

ANN = User("ann", "7", ("team", "system:authenticated"), (("scope", ("a", "b")),))
RATE = Access("/apis/x", "default", "external.metrics.k8s.io", "v1beta1", "hca-requests-per-second")


class ApiServer:
    """Answers reviews, as soon as it may."""

    def __init__(self) -> None:
        self.reviews: list[Manifest] = []
        self.status: Manifest | None = {"allowed": True}
        self.now = 0.0
        self.answers = asyncio.Event()
        self.answers.set()

    async def create(self, manifest: Manifest) -> Manifest:
        self.reviews.append(manifest)
        await self.answers.wait()
        if self.status is None:
            raise Transient("POST SubjectAccessReview: time-out")
        return {**manifest, "status": self.status}


@pytest.fixture
async def server() -> ApiServer:
    return ApiServer()


@pytest.fixture
async def authorizer(server: ApiServer) -> Authorizer:
    return Authorizer(server, lambda: server.now)


async def test_the_api_server_is_asked_about_everything_that_it_said_of_the_caller(
    server: ApiServer, authorizer: Authorizer
) -> None:
    assert await authorizer.allows(ANN, RATE)
    (review,) = server.reviews
    assert (review["apiVersion"], review["kind"]) == ("authorization.k8s.io/v1", "SubjectAccessReview")
    assert review["spec"] == {
        "user": "ann",
        "uid": "7",
        "groups": ["team", "system:authenticated"],
        "extra": {"scope": ["a", "b"]},
        **RATE.attributes(),
    }


@pytest.mark.parametrize("status", [{}, {"allowed": False}, {"allowed": True, "denied": True}, {"allowed": "yes"}])
async def test_anything_but_a_clear_yes_is_a_no(server: ApiServer, authorizer: Authorizer, status: Manifest) -> None:
    server.status = status
    assert not await authorizer.allows(ANN, RATE)


@pytest.mark.parametrize(("allowed", "lasts"), [(True, ALLOWED_SECONDS), (False, DENIED_SECONDS)])
async def test_an_answer_holds_for_a_while(
    server: ApiServer, authorizer: Authorizer, *, allowed: bool, lasts: float
) -> None:
    server.status = {"allowed": allowed}
    assert await authorizer.allows(ANN, RATE) is allowed
    server.status = {"allowed": not allowed}
    server.now = lasts
    assert await authorizer.allows(ANN, RATE) is allowed
    server.now = lasts + 0.1
    assert await authorizer.allows(ANN, RATE) is not allowed
    assert len(server.reviews) == 2


@pytest.mark.parametrize(
    ("user", "access"),
    [
        (User("bob", ANN.uid, ANN.groups, ANN.extra), RATE),
        (User("ann", ANN.uid, ("system:authenticated",), ANN.extra), RATE),
        (User("ann", ANN.uid, ANN.groups), RATE),
        (ANN, Access(RATE.path, "other", RATE.group, RATE.version, RATE.resource)),
        (ANN, Access(RATE.path)),
    ],
)
async def test_an_answer_holds_for_no_other_user_and_no_other_access(
    server: ApiServer, authorizer: Authorizer, user: User, access: Access
) -> None:
    assert await authorizer.allows(ANN, RATE)
    server.status = {"allowed": False}
    assert not await authorizer.allows(user, access)


async def test_who_asks_at_the_same_time_causes_one_request_and_may_hang_up(
    server: ApiServer, authorizer: Authorizer
) -> None:
    server.answers.clear()
    first, *others = [asyncio.create_task(authorizer.allows(ANN, RATE)) for _ in range(5)]
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    server.answers.set()
    assert await asyncio.gather(*others) == [True] * 4
    assert len(server.reviews) == 1


async def test_a_slow_answer_is_waited_for_and_not_asked_for_again(server: ApiServer, authorizer: Authorizer) -> None:
    server.answers.clear()
    asked = [asyncio.create_task(authorizer.allows(ANN, RATE))]
    await asyncio.sleep(0)
    server.now = DENIED_SECONDS + 1
    asked.append(asyncio.create_task(authorizer.allows(ANN, RATE)))
    await asyncio.sleep(0)
    server.answers.set()
    assert await asyncio.gather(*asked) == [True, True]
    assert len(server.reviews) == 1


async def test_a_question_that_failed_is_asked_again(server: ApiServer, authorizer: Authorizer) -> None:
    server.status = None
    with pytest.raises(Transient):
        await authorizer.allows(ANN, RATE)
    server.status = {"allowed": True}
    assert await authorizer.allows(ANN, RATE)


async def test_the_masters_need_not_be_asked_about(server: ApiServer, authorizer: Authorizer) -> None:
    server.status = None
    assert await authorizer.allows(User("system:kube-aggregator", groups=("system:masters",)), RATE)
    assert not server.reviews


async def test_many_questions_push_out_the_oldest_answer_and_not_the_newest(
    server: ApiServer, authorizer: Authorizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authorization, "MOST_CACHED", 2)
    for path in ("/a", "/b", "/c"):
        assert await authorizer.allows(ANN, Access(path))
    server.status = None
    assert await authorizer.allows(ANN, Access("/c"))
    with pytest.raises(Transient):
        await authorizer.allows(ANN, Access("/a"))
