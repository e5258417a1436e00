import math
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from hca_operator.core.errors import HcaError, Transient
from hca_operator.core.names import API_LABEL
from hca_operator.metrics_server.samples.reading import Reading
from hca_operator.metrics_server.serving.authentication import User
from hca_operator.metrics_server.serving.authorization import Access
from hca_operator.metrics_server.serving.server import ExternalMetricsServer
from hca_operator.metrics_server.serving.server_metrics import ServerMetrics
from hca_operator.metrics_server.serving.values import external_metric_value

Client = TestClient[web.Request, web.Application]

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ROOT = "/apis/external.metrics.k8s.io/v1beta1"
ASKED = f"{ROOT}/namespaces/default/hca-requests-per-second"
SIGNALS = f"{ROOT}/signals"
SHOP = {"labelSelector": "hca-operator.io/api=shop"}


def reading(number: float, *, window: float = 60) -> Reading:
    return Reading(number, at=NOW, window=window)


@dataclass
class World:
    """What is known, who asks, and what they may."""

    reading: Reading | HcaError = field(default_factory=lambda: reading(12.5))
    user: User | None = field(default_factory=lambda: User("hpa"))
    may: bool | HcaError = True
    trouble: str | None = None
    read_of: list[tuple[str, str, str]] = field(default_factory=list)
    asked_about: list[Access] = field(default_factory=list)

    def read(
        self, namespace: str, api: str, metric: str, now: datetime, *, window_seconds: float = math.inf
    ) -> Reading:
        assert window_seconds == math.inf
        assert now == NOW
        self.read_of.append((namespace, api, metric))
        if isinstance(self.reading, HcaError):
            raise self.reading
        return self.reading

    def caller(self, request: web.Request) -> User | None:
        del request
        return self.user

    async def allows(self, user: User, access: Access) -> bool:
        assert user is self.user
        self.asked_about.append(access)
        if isinstance(self.may, HcaError):
            raise self.may
        return self.may


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def client(world: World) -> AsyncIterator[Client]:
    server = ExternalMetricsServer(
        world, world, world, ServerMetrics(), lambda: NOW, signals=lambda now: [{"at": str(now)}]
    )
    app = server.application(alive=lambda: None, ready=lambda: world.trouble)
    async with TestClient(TestServer(app)) as connected:
        yield connected


async def refused(client: Client, path: str = ASKED, **query: str) -> tuple[int, str]:
    """Code and message of an answer that is a Status."""
    answer = await client.get(path, params=query or SHOP)
    status = await answer.json()
    assert (status["kind"], status["apiVersion"], status["status"]) == ("Status", "v1", "Failure")
    assert (status["code"], status["reason"]) == (answer.status, REASONS[answer.status])
    return answer.status, status["message"]


REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    500: "InternalError",
    503: "ServiceUnavailable",
}


async def test_an_autoscaler_gets_the_value_with_its_time(client: Client, world: World) -> None:
    answer = await client.get(ASKED, params=SHOP)
    assert answer.status == 200
    assert await answer.json() == {
        "kind": "ExternalMetricValueList",
        "apiVersion": "external.metrics.k8s.io/v1beta1",
        "metadata": {},
        "items": [
            {
                "metricName": "hca-requests-per-second",
                "metricLabels": {"hca-operator.io/api": "shop"},
                "timestamp": "2026-01-02T03:04:05Z",
                "window": 60,
                "value": "12500m",
            }
        ],
    }
    assert world.read_of == [("default", "shop", "hca-requests-per-second")]
    assert [access.attributes() for access in world.asked_about] == [
        {
            "resourceAttributes": {
                "namespace": "default",
                "verb": "list",
                "group": "external.metrics.k8s.io",
                "version": "v1beta1",
                "resource": "hca-requests-per-second",
            }
        }
    ]


async def test_a_momentary_value_has_no_window(client: Client, world: World) -> None:
    world.reading = reading(3, window=0)
    answer = await client.get(ASKED, params=SHOP)
    assert "window" not in (await answer.json())["items"][0]


@pytest.mark.parametrize(
    "accept", ["application/vnd.kubernetes.protobuf, */*", "application/vnd.kubernetes.protobuf,application/json"]
)
async def test_who_would_like_protobuf_gets_json(client: Client, accept: str) -> None:
    for path in ("/apis", ROOT, ASKED):
        answer = await client.get(path, params=SHOP, headers={"Accept": accept})
        assert (answer.status, answer.content_type) == (200, "application/json")


async def test_what_is_not_known_is_an_error_with_its_sentence_and_never_a_number(client: Client, world: World) -> None:
    world.reading = Transient("no pod of shop tells hca-latency-p95")
    assert await refused(client) == (503, "no pod of shop tells hca-latency-p95")


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, -0.001, 1e300])
async def test_a_reading_that_is_no_number_to_work_with_is_not_passed_on(
    client: Client, world: World, number: float
) -> None:
    world.reading = reading(number)
    code, message = await refused(client)
    assert code == 503
    assert "must be a number from 0" in message


@pytest.mark.parametrize(
    "query",
    [
        {"labelSelector": ""},
        {"labelSelector": "app=shop"},
        {"labelSelector": "hca-operator.io/api=shop,app=shop"},
        {"labelSelector": "hca-operator.io/api!=shop"},
        {"labelSelector": "hca-operator.io/api in (shop,cart)"},
        {"labelSelector": "hca-operator.io/api"},
        {"labelSelector": "hca-operator.io/api="},
        {"labelSelector": "hca-operator.io/api=Shop"},
        {"fieldSelector": "metadata.name=shop"},
    ],
)
async def test_another_selector_is_refused_with_the_right_one(
    client: Client, world: World, query: dict[str, str]
) -> None:
    code, message = await refused(client, **query)
    assert code == 400
    assert message.startswith("labelSelector must be hca-operator.io/api=NAME, ")
    assert not world.read_of


async def test_two_selectors_are_refused(client: Client) -> None:
    answer = await client.get(f"{ASKED}?labelSelector=hca-operator.io/api=a&labelSelector=hca-operator.io/api=b")
    assert answer.status == 400


@pytest.mark.parametrize("path", ["/apis", "/apis/external.metrics.k8s.io", ROOT, ASKED, SIGNALS])
async def test_no_caller_gets_an_answer_without_authentication(client: Client, world: World, path: str) -> None:
    world.user = None
    assert (await refused(client, path))[0] == 401
    assert not world.asked_about
    assert not world.read_of


@pytest.mark.parametrize("path", ["/apis", "/apis/external.metrics.k8s.io", ROOT, ASKED, SIGNALS])
async def test_without_the_right_there_is_no_answer(client: Client, world: World, path: str) -> None:
    world.may = False
    code, message = await refused(client, path)
    assert code == 403
    assert 'User "hpa" cannot ' in message
    assert not world.read_of


async def test_where_the_rights_are_unknown_there_is_no_answer(client: Client, world: World) -> None:
    world.may = Transient("POST SubjectAccessReview: time-out")
    code, message = await refused(client)
    assert code == 500
    assert "POST SubjectAccessReview: time-out" in message
    assert not world.read_of


async def test_discovery_shows_one_resource_that_stands_for_all(client: Client, world: World) -> None:
    groups = await (await client.get("/apis")).json()
    assert [group["name"] for group in groups["groups"]] == ["external.metrics.k8s.io"]
    group = await (await client.get("/apis/external.metrics.k8s.io")).json()
    assert (group["kind"], group["preferredVersion"]["version"]) == ("APIGroup", "v1beta1")
    resources = await (await client.get(ROOT)).json()
    assert (resources["kind"], len(resources["resources"])) == ("APIResourceList", 1)
    assert world.asked_about[-1].attributes() == {"nonResourceAttributes": {"path": ROOT, "verb": "get"}}


@pytest.mark.parametrize(
    "path", ["/openapi/v2", "/openapi/v3", "/", "/metrics", f"{ROOT}/nodes", f"{ROOT}/namespaces/default/a/b"]
)
async def test_nothing_else_is_there(client: Client, path: str) -> None:
    assert (await refused(client, path))[0] == 404


async def test_the_operator_gets_the_load_of_all_objects_in_one_answer(client: Client, world: World) -> None:
    answer = await client.get(SIGNALS)
    assert await answer.json() == {
        "kind": "SignalList",
        "apiVersion": "external.metrics.k8s.io/v1beta1",
        "metadata": {},
        "items": [{"at": str(NOW)}],
    }
    asked = {"verb": "list", "group": "external.metrics.k8s.io", "version": "v1beta1", "resource": "signals"}
    assert [access.attributes() for access in world.asked_about] == [{"resourceAttributes": {"namespace": "", **asked}}]


async def test_nothing_can_be_written(client: Client) -> None:
    answer = await client.post(ASKED, params=SHOP)
    assert (answer.status, (await answer.json())["reason"]) == (405, "MethodNotAllowed")


async def test_probes_need_no_proof(client: Client, world: World) -> None:
    world.user = None
    for path in ("/healthz", "/livez", "/readyz"):
        assert (await client.get(path)).status == 200
    world.trouble = "the first look at the pods is not over"
    answer = await client.get("/readyz")
    assert (answer.status, await answer.text()) == (503, world.trouble)
    assert (await client.get("/livez")).status == 200


@pytest.mark.parametrize(
    ("number", "reported"),
    [(0, "0m"), (0.25, "250m"), (1.1, "1100m"), (0.0001, "1m"), (12.3456, "12346m"), (1e9, "1000000000000m")],
)
def test_a_value_is_given_in_thousandths_rounded_up(number: float, reported: str) -> None:
    assert external_metric_value("m", {API_LABEL: "shop"}, reading(number))["value"] == reported


@given(st.floats(min_value=0, max_value=1e9))
def test_a_value_is_never_given_as_less_and_hardly_as_more(number: float) -> None:
    milli = int(external_metric_value("m", {API_LABEL: "shop"}, reading(number))["value"].removesuffix("m"))
    assert number * 1000 - 1e-3 <= milli <= number * 1000 + 1


QUERY = f"{ROOT}/namespaces/default/hca-prometheus"
QUEUE = "hca-operator.io/api=shop,hca-operator.io/metric=queue"


async def test_a_query_of_an_object_is_selected_by_the_name_of_its_metric(client: Client, world: World) -> None:
    answer = await client.get(QUERY, params={"labelSelector": QUEUE})
    assert answer.status == 200
    (item,) = (await answer.json())["items"]
    assert item["metricName"] == "hca-prometheus"
    assert item["metricLabels"] == {"hca-operator.io/api": "shop", "hca-operator.io/metric": "queue"}
    assert world.read_of == [("default", "shop", "hca-prometheus/queue")]


@pytest.mark.parametrize(("path", "selector"), [(QUERY, SHOP["labelSelector"]), (ASKED, QUEUE)])
async def test_the_second_label_is_for_queries_and_for_nothing_else(client: Client, path: str, selector: str) -> None:
    code, message = await refused(client, path, labelSelector=selector)
    assert code == 400
    assert message.startswith("labelSelector must be hca-operator.io/api=NAME, ")
    assert ("hca-operator.io/metric=METRIC" in message) == (path == QUERY)
