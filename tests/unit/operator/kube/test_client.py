import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs

import aiohttp
import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.aio import client

from hca_operator.core.errors import Conflict, Forbidden, HcaError, Rejected, TooLarge, Transient
from hca_operator.core.names import API_LABEL, API_VERSION, EVICTION_ANNOTATION, KIND, MEASURE_ANNOTATION, Manifest
from hca_operator.core.observed import owner_of
from hca_operator.kube.client import LARGEST_PAGE_BYTES, LARGEST_READING_BYTES, MOST_LARGE_OBJECTS, KubeClient
from hca_operator.kube.connection import LARGEST_PIECE_BYTES, failure, session_options, yaml_body
from tests.unit.operator.loopback_server import api_server

NO_RIGHT = 'services "shop" is forbidden: User "system:serviceaccount:a:b" cannot patch resource "services"'


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "bad request", Rejected),
        (422, "Deployment is invalid", Rejected),
        (422, "the server rejected our request due to an error in our request", Conflict),
        (403, NO_RIGHT, Forbidden),
        (403, 'pods "x" is forbidden: exceeded quota: small', Rejected),
        (403, "unable to create new content in namespace a because it is being terminated", Rejected),
        (401, "Unauthorized", Transient),
        (404, "namespaces not found", Transient),
        (409, "the object has been modified", Conflict),
        (429, "too many requests", Transient),
        (500, "etcd leader changed", Transient),
        (503, "shutting down", Transient),
        (504, "time-out", Transient),
    ],
)
def test_fault_31_an_answer_is_retried_or_reported_by_what_it_means(
    status: int, message: str, kind: type[HcaError]
) -> None:
    error = failure("PATCH Service a/shop", status, None, json.dumps({"message": message}).encode())
    assert type(error) is kind
    assert str(error) == f"PATCH Service a/shop: {message}"


@pytest.mark.parametrize("payload", [b"", b"<html>", b"[]", b"{}", b"\xff", b"null"])
def test_an_answer_that_is_no_status_is_still_an_error_with_words(payload: bytes) -> None:
    error = failure("GET Service a/shop", 502, None, payload)
    assert isinstance(error, Transient)
    assert str(error).removeprefix("GET Service a/shop: ")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), (None, None), ("", None), ("soon", None), ("-1", None), ("²", None), ("9" * 400, None)],
)
def test_the_servers_wish_for_a_wait_is_read(header: str | None, seconds: float | None) -> None:
    error = failure("PATCH", 429, header, b"{}")
    assert isinstance(error, Transient)
    assert error.retry_after == seconds


def one_of_everything(kind: str, path: str) -> Manifest:
    answer = {"kind": kind, "metadata": {"name": "shop", "resourceVersion": "7"}, "items": [], "data": {"a": "b"}}
    return {"type": "BOOKMARK", "object": answer} if "watch=true" in path else answer


@pytest.mark.parametrize(
    ("kind", "plural", "in_lists", "in_watches"),
    [
        ("ConfigMap", "configmaps", "as=PartialObjectMetadataList;", "as=PartialObjectMetadata;"),
        ("Secret", "secrets", "as=PartialObjectMetadataList;", "as=PartialObjectMetadata;"),
        ("Service", "services", "application/json", "application/json"),
    ],
)
async def test_what_may_be_large_or_secret_is_read_by_name_alone(
    kind: str, plural: str, in_lists: str, in_watches: str
) -> None:
    with api_server(partial(one_of_everything, kind)) as (address, asked):
        async with client.ApiClient(client.Configuration(host=address)) as api:
            kube = KubeClient(api, lambda *_: None)
            await kube.list(kind, "default")
            async for _ in kube.watch(kind, "default", 7):
                pass
            assert (await kube.get(kind, "default", "shop") or {})["data"] == {"a": "b"}
    assert [each.path.partition("?")[0] for each in asked] == [f"/api/v1/namespaces/default/{plural}"] * 2 + [
        f"/api/v1/namespaces/default/{plural}/shop"
    ]
    listed, watched, read = (each.form for each in asked)
    assert in_lists in listed
    assert in_watches in watched
    assert read == "application/json"
    assert {each.encoding for each in asked} == {"identity"}, "to decompress a list holds the event loop"


async def test_a_netrc_of_the_users_changes_no_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (netrc := tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret")
    monkeypatch.setenv("NETRC", str(netrc))
    with api_server(partial(one_of_everything, "Service")) as (address, asked):
        token = {"BearerToken": "Bearer token"}
        api = client.ApiClient(client.Configuration(host=address, api_key=token))
        api.configuration.client_session_kwargs = session_options(api)
        kube = KubeClient(api, lambda *_: None)
        await kube.get("Service", "default", "shop")
        await kube.close()
    assert len(asked) == 1


@pytest.mark.parametrize(
    "garbage",
    [None, [], "a", {}, {"metadata": None}, {"metadata": {"resourceVersion": "a"}}, {"metadata": {}, "items": [7]},
     b"<", b"[" * 100_000, b"\xff", b""],
    ids=repr,
)  # fmt: skip
async def test_an_answer_that_is_none_of_the_kubernetes_api_is_tried_again(garbage: object) -> None:
    with api_server(lambda _path: garbage) as (address, _):
        async with client.ApiClient(client.Configuration(host=address)) as api:
            kube = KubeClient(api, lambda *_: None)
            with pytest.raises(Transient):
                await kube.get("Service", "default", "shop")
            with pytest.raises(Transient):
                await kube.list("Service", "default")
            with suppress(Transient):  # as at the end of a stream without an event
                async for event in kube.watch("Service", "default", 7):
                    pytest.fail(f"{event} is none")


async def test_an_answer_that_is_another_object_is_tried_again() -> None:
    other = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "cart", "resourceVersion": "7"}}
    with api_server(lambda _path: other) as (address, _):
        async with client.ApiClient(client.Configuration(host=address)) as api:
            kube = KubeClient(api, lambda *_: None)
            assert await kube.get("Service", "default", "cart")
            for kind, name in (("Service", "shop"), ("Deployment", "cart")):
                with pytest.raises(Transient, match="the answer is not the object"):
                    await kube.get(kind, "default", name)


async def test_fault_64_a_watch_goes_on_after_an_object_of_many_megabytes() -> None:
    def event(version: int, size: int) -> bytes:
        metadata = {"resourceVersion": str(version), "annotations": {"a": "x" * size}}
        return json.dumps({"type": "MODIFIED", "object": {"metadata": metadata}}).encode() + b"\n"

    events = event(7, 9_000_000) + event(8, 1) + event(9, 5_000_000)
    with api_server(lambda _path: events) as (address, _):
        async with client.ApiClient(client.Configuration(host=address)) as api:
            kube = KubeClient(api, lambda *_: None)
            seen = [event.object["metadata"]["resourceVersion"] async for event in kube.watch("Pod", "", 1)]
    assert seen == ["7", "8", "9"]


def _pages_of(size: int, count: int) -> Callable[[str], Manifest]:
    """An API server with so many objects of a size; it answers by the path of a request."""

    def page(path: str) -> Manifest:
        query = {name: values[0] for name, values in parse_qs(path.partition("?")[2]).items()}
        start = int(query.get("continue", 0))
        end = start + int(query["limit"])
        bulk = {"note": "x" * size}
        items = [{"metadata": {"name": str(n), "annotations": bulk}} for n in range(start, min(end, count))]
        metadata = {"resourceVersion": "7"} | ({"continue": str(end)} if end < count else {})
        return {"metadata": metadata, "items": items}

    return page


async def test_fault_64_a_list_of_large_objects_comes_in_pages_of_few_so_that_little_of_it_is_held_at_a_time() -> None:
    size, count = 1_500_000, 7
    with api_server(_pages_of(size, count)) as (address, _):
        async with client.ApiClient(client.Configuration(host=address)) as api:
            kube = KubeClient(api, lambda *_: None)
            pages = [[item["metadata"]["name"] for item in items] async for items, _ in kube.pages("Pod", "")]
    assert [name for page in pages for name in page] == [str(number) for number in range(count)]
    assert max(map(len, pages)) * size < LARGEST_PAGE_BYTES


async def test_fault_64_of_pods_that_are_each_too_large_for_a_page_of_several_only_some_are_read() -> None:
    with api_server(_pages_of(3_000_000, 100)) as (address, asked):
        async with client.ApiClient(client.Configuration(host=address)) as api:
            with pytest.raises(Rejected, match="are so large that each has to be read by itself"):
                await KubeClient(api, lambda *_: None).list("Pod", "a")
    assert len(asked) <= MOST_LARGE_OBJECTS + 4


async def test_fault_64_a_list_of_pods_has_what_is_read_of_them_and_no_more() -> None:
    container = {"name": "api", "resources": {"limits": {"memory": "1Gi"}}}
    annotations = {MEASURE_ANNOTATION: "Workers", EVICTION_ANNOTATION: "2026-01-02T03:04:05Z"}
    metadata: Manifest = {"name": "shop-1", "labels": {"a": "b"}, "annotations": annotations}
    expected = {
        "metadata": metadata,
        "spec": {"initContainers": [], "containers": [container]},
        "status": {"podIP": "x"},
    }
    large = {
        "metadata": {
            **metadata, "annotations": {**metadata["annotations"], "note": "x" * 9999}, "managedFields": [{}] * 99
        },
        "spec": {"containers": [{**container, "env": [{"name": "A", "value": "x" * 9999}]}], "volumes": [{}] * 99},
        "status": {"podIP": "x"},
    }  # fmt: skip
    page = {"metadata": {"resourceVersion": "7"}, "items": [large]}
    with api_server(lambda _path: page) as (address, _):
        async with client.ApiClient(client.Configuration(host=address)) as api:
            (found,) = await KubeClient(api, lambda *_: None).list("Pod", "default")
    assert found == {"kind": "Pod", "apiVersion": "v1", **expected}


async def test_fault_69_a_list_ends_in_an_error_when_all_together_is_more_than_is_held() -> None:
    """Labels, too, may have a mebibyte; and so may an autoscaler or an Ingress that only looks like a neighbour."""
    labels = {f"label-{number}": "x" * 60 for number in range(15_000)}

    def page(path: str) -> Manifest:
        start = int(parse_qs(path.partition("?")[2]).get("continue", ["0"])[0])
        items = [{"metadata": {"name": f"pod-{start + nth}", "labels": labels}} for nth in range(2)]
        return {"metadata": {"resourceVersion": "7", "continue": str(start + 2)}, "items": items}

    with api_server(page) as (address, asked):
        async with client.ApiClient(client.Configuration(host=address)) as api:
            kube = KubeClient(api, lambda *_: None)
            for kind in ("Pod", "HorizontalPodAutoscaler"):
                with pytest.raises(Rejected, match="more than 8 MiB"):
                    await kube.list(kind, "default")
    assert len(asked) < 20


async def test_fault_69_a_reading_that_is_too_large_is_not_read_to_its_end() -> None:
    readings = b'{"items": ["' + b"x" * LARGEST_READING_BYTES + b'"]}'
    with api_server(lambda _path: readings) as (address, _):
        async with client.ApiClient(client.Configuration(host=address)) as api:
            with pytest.raises(TooLarge):
                await KubeClient(api, lambda *_: None).readings("PodMetrics", "")


def _child(**metadata: object) -> Manifest:
    return {"metadata": {"name": "x", **metadata}}


def _controlled_by(kind: str, api_version: str, *, controller: bool = True) -> list[dict[str, object]]:
    return [{"kind": kind, "apiVersion": api_version, "name": "shop", "uid": "u", "controller": controller}]


@pytest.mark.parametrize(
    ("child", "owner"),
    [
        (_child(ownerReferences=_controlled_by(KIND, API_VERSION)), "shop"),
        (_child(ownerReferences=_controlled_by(KIND, "hca-operator.io/v9")), "shop"),
        (_child(ownerReferences=_controlled_by("ReplicaSet", "apps/v1")), None),
        (_child(ownerReferences=_controlled_by(KIND, "example.com/v1"), labels={API_LABEL: "cart"}), None),
        (_child(ownerReferences=_controlled_by(KIND, API_VERSION, controller=False)), None),
        (_child(labels={API_LABEL: "cart"}), "cart"),
        (_child(labels={API_LABEL: ""}), None),
        (_child(), None),
    ],
)
def test_an_event_of_a_child_leads_to_its_object(child: Manifest, owner: str | None) -> None:
    assert owner_of(child) == owner


@pytest.mark.parametrize(
    "name",
    ["..", "../../default/highconcurrencyapis/shop", "shop?watch=true", "shop/status", "a b", "a\n", "x" * 254],
    ids=repr,
)
def test_fault_68_a_child_whose_owner_has_no_name_of_an_object_leads_nowhere(name: str) -> None:
    """A user who may create a Service may write any owner: the operator read what the resulting address led to."""
    owner = {"kind": KIND, "apiVersion": API_VERSION, "name": name, "uid": "u", "controller": True}
    assert owner_of(_child(ownerReferences=[owner])) is None


@given(st.text(st.characters(codec="utf-8")))
def test_what_is_applied_reads_the_same_as_yaml_whatever_the_user_writes(text: str) -> None:
    manifest = {"metadata": {"annotations": {"note": text}}}
    assert yaml.safe_load(yaml_body(manifest)) == json.loads(yaml_body(manifest)) == manifest


async def test_fault_64_a_large_body_is_sent_in_pieces() -> None:
    """OpenSSL keeps room for the largest one that a connection has ever sent."""
    metadata = {"namespace": "a", "name": "shop", "annotations": {"note": "x" * 1_000_000}}
    received: list[Manifest] = []
    pieces: list[int] = []

    async def create(request: web.Request) -> web.Response:
        received.append(await request.json())
        return web.json_response(received[0])

    async def sent(_session: object, _context: object, chunk: aiohttp.TraceRequestChunkSentParams) -> None:
        pieces.append(len(chunk.chunk))

    application = web.Application(client_max_size=2**23)
    application.router.add_post("/{path:.*}", create)
    async with TestServer(application) as server:
        api = client.ApiClient(client.Configuration(host=str(server.make_url("")).rstrip("/")))
        api.configuration.client_session_kwargs = session_options(api)
        api.configuration.trace_configs = [trace := aiohttp.TraceConfig()]
        trace.on_request_chunk_sent.append(sent)
        kube = KubeClient(api, lambda *_: None)
        await kube.create({"kind": "Service", "metadata": metadata})
        await kube.close()
    assert [found["metadata"] for found in received] == [metadata]
    assert max(pieces) <= LARGEST_PIECE_BYTES
