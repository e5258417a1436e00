"""The API server, as few verbs on plain dicts: the only module that talks to it on the operator's own behalf."""

import asyncio
import json
import math
import re
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import client, config

from hca_operator.core.errors import Absent, Conflict, Expired, Forbidden, HcaError, Rejected, Transient
from hca_operator.core.names import API_VERSION, BURST_MANAGER, FIELD_MANAGER, KIND, PLURAL, Manifest

REQUEST_TIMEOUT = 10.0
"""Seconds. A request that takes longer is tried again later instead of holding a worker."""
PAGE = 250
"""Objects of a list that are asked for at a time: enough to be quick, few enough to be small."""
WATCH_TIMEOUT = 300
"""Seconds after which the API server ends a watch; the next one goes on where it ended."""
WATCH_SILENCE = 90.0
"""Seconds without a word after which a watch is taken for dead: bookmarks come about every minute."""
UNACKNOWLEDGED = 4.0
"""Seconds for which the kernel tries to deliver what it was given: between the fence and the end of a Lease, so that a
write of a leader that was cut off cannot arrive after its successor has begun."""


@dataclass(frozen=True)
class Resource:
    """Where objects of a kind live."""

    api_version: str
    plural: str


RESOURCES: dict[str, Resource] = {
    KIND: Resource(API_VERSION, PLURAL),
    "Deployment": Resource("apps/v1", "deployments"),
    "Service": Resource("v1", "services"),
    "PodDisruptionBudget": Resource("policy/v1", "poddisruptionbudgets"),
    "HorizontalPodAutoscaler": Resource("autoscaling/v2", "horizontalpodautoscalers"),
    "Ingress": Resource("networking.k8s.io/v1", "ingresses"),
    "NetworkPolicy": Resource("networking.k8s.io/v1", "networkpolicies"),
    "Pod": Resource("v1", "pods"),
    "PodMetrics": Resource("metrics.k8s.io/v1beta1", "pods"),
    "Event": Resource("v1", "events"),
    "Lease": Resource("coordination.k8s.io/v1", "leases"),
    "ConfigMap": Resource("v1", "configmaps"),
    "Secret": Resource("v1", "secrets"),
    "ClusterRole": Resource("rbac.authorization.k8s.io/v1", "clusterroles"),
    "APIService": Resource("apiregistration.k8s.io/v1", "apiservices"),
    "Signal": Resource("external.metrics.k8s.io/v1beta1", "signals"),
    "SubjectAccessReview": Resource("authorization.k8s.io/v1", "subjectaccessreviews"),
}
METADATA_ALONE = {"ConfigMap", "Secret"}
"""Kinds that are listed and watched without their content, which may be a mebibyte each: it is read by name."""
NEVER = "1"
"""The version of an empty etcd, which no object ever has. An apply that names a version is refused where the object has
another one, and not where there is no object."""

_OTHER_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


class WatchEvent(NamedTuple):
    """What a watch tells: ADDED, MODIFIED, DELETED, or BOOKMARK, which has a resource version alone."""

    type: str
    object: Manifest


Observer = Callable[[str, str, int, float], None]
"""Told of each request: verb, kind, HTTP status (0: none came), seconds."""


class KubeClient:
    """A connection to the API server with the credentials of the pod or of the kubeconfig."""

    def __init__(self, api: client.ApiClient, observe: Observer, may_write: Callable[[], float] | None = None) -> None:
        self._api = api
        self._observe = observe
        self._may_write = may_write

    @classmethod
    async def connect(cls, observe: Observer) -> Self:
        """Connect as the pod's service account, or as the kubeconfig's user outside a cluster."""
        configuration = client.Configuration()
        try:
            config.load_incluster_config(client_configuration=configuration)
        except config.ConfigException:
            await config.load_kube_config(client_configuration=configuration)
        api = client.ApiClient(configuration)
        configuration.client_session_kwargs = {
            "connector": aiohttp.TCPConnector(ssl=api.rest_client.ssl_context, socket_factory=_socket)
        }
        return cls(api, observe)

    def fenced(self, may_write: Callable[[], float]) -> Self:
        """The same connection, on which a write takes no longer than `may_write()` seconds, and none starts at 0."""
        return type(self)(self._api, self._observe, may_write)

    async def close(self) -> None:
        """Give the connections back."""
        await self._api.close()
        await self._api.configuration.client_session_kwargs["connector"].close()  # made here, so ended here

    async def version(self) -> Manifest:
        """What the API server says of itself: `major`, `minor`, `gitVersion`."""
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT):
                status, headers, payload = await self._send("GET", "/version", None, "application/json")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Transient(f"GET /version: {str(error) or type(error).__name__}") from error
        if status >= 400:
            raise failure("GET /version", status, headers.get("Retry-After"), payload)
        answer: Manifest = json.loads(payload)
        return answer

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """An object as it is now, None where it does not exist."""
        return await self._request("GET", kind, namespace, name, absent_is_none=True)

    async def list(self, kind: str, namespace: str, **selectors: str) -> list[Manifest]:
        """Objects of a namespace ("": of all); `labelSelector` and `fieldSelector` narrow them down."""
        items: list[Manifest] = []
        async for page, _version in self.pages(kind, namespace, **selectors):
            items.extend(page)
        return items

    async def pages(self, kind: str, namespace: str, **selectors: str) -> AsyncIterator[tuple[Sequence[Manifest], int]]:
        """The same, page by page, each with the version at which the list as a whole stands."""
        query = {"limit": str(PAGE), **selectors}
        named = {"kind": kind, "apiVersion": RESOURCES[kind].api_version}  # which the items of a list do not say
        while True:
            page = await self._request("GET", kind, namespace, query=query)
            assert page is not None, "a list that fails raises"  # noqa: S101
            yield [{**named, **item} for item in page.get("items") or []], int(page["metadata"]["resourceVersion"])
            token = page["metadata"].get("continue")
            if not token:
                return
            query = {**query, "continue": token}

    async def readings(self, kind: str, namespace: str, **selectors: str) -> Sequence[Manifest] | None:
        """All objects of a kind that is made up when it is asked for, and so has no pages; None where nobody does."""
        try:
            found = await self._request("GET", kind, namespace, query=selectors, absent_is_none=True)
        except ValueError as error:  # it is not the API server itself that answers
            raise Transient(f"GET {kind} {namespace}: {error}") from error
        return None if found is None else found.get("items") or []

    async def require(self, kind: str, namespace: str) -> None:
        """Raise Absent where the cluster does not define the kind."""
        what = f"{RESOURCES[kind].plural}.{RESOURCES[kind].api_version}"
        if await self._request("GET", kind, namespace, query={"limit": "1"}, absent_is_none=True) is None:
            raise Absent(f"{what} are not defined in this cluster")

    async def watch(self, kind: str, namespace: str, version: int, **selectors: str) -> AsyncIterator[WatchEvent]:
        """What happens after a version, until the API server ends the stream.

        Raises Expired where the version is too old to go on from, Transient where the connection breaks or is silent
        for longer than the API server ever is.
        """
        query = {
            "watch": "true",
            "resourceVersion": str(version),
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_TIMEOUT),
            **selectors,
        }
        what = f"WATCH {kind} {namespace}"
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=REQUEST_TIMEOUT, sock_read=WATCH_SILENCE)
        try:
            parameters = await self._api.param_serialize(
                "GET", _path(kind, namespace, "", query), auth_settings=["BearerToken"],
                header_params={"Accept": _accepted(kind, "PartialObjectMetadata")},
            )  # fmt: skip
            response = (await self._api.call_api(*parameters, _request_timeout=timeout)).response
            async with response:
                self._observe("WATCH", kind, response.status, 0.0)
                if response.status >= 400:
                    raise failure(what, response.status, response.headers.get("Retry-After"), await response.read())
                async for line in response.content:
                    yield _watch_event(what, line)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Transient(f"{what}: {str(error) or type(error).__name__}") from error

    async def apply(self, manifest: Manifest, *, subresource: str = "") -> Manifest:
        """Server-side apply by force; the answer is the object as it is now.

        Transient where it has changed since it was read (`resourceVersion`).
        """
        metadata = manifest["metadata"]
        applied = await self._request(
            "PATCH",
            manifest["kind"],
            metadata.get("namespace", ""),
            metadata["name"] + (f"/{subresource}" if subresource else ""),
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            body=yaml_body(manifest),
            # With a charset, for the client would make JSON of the body once more.
            content_type="application/apply-patch+yaml; charset=utf-8",
        )
        assert applied is not None, "only a missing object is None, and apply creates it"  # noqa: S101
        return applied

    async def apply_new(self, manifest: Manifest) -> Manifest:
        """Server-side apply of what is not there; Transient where something of its name is, which stays as it is.

        Unlike one that is created, the object belongs to server-side apply from the start.
        """
        return await self.apply({**manifest, "metadata": {**manifest["metadata"], "resourceVersion": NEVER}})

    async def create(self, manifest: Manifest) -> Manifest:
        """A new object; Transient where one of that name exists."""
        return await self._write("POST", manifest, "")

    async def replace(self, manifest: Manifest) -> Manifest:
        """The whole object; Transient where it has changed since it was read (`resourceVersion`)."""
        return await self._write("PUT", manifest, manifest["metadata"]["name"])

    async def _write(self, verb: str, manifest: Manifest, name: str) -> Manifest:
        namespace = manifest["metadata"].get("namespace", "")
        written = await self._request(verb, manifest["kind"], namespace, name, body=manifest)
        assert written is not None, "a write that fails raises"  # noqa: S101
        return written

    async def patch(self, manifest: Manifest, operations: Sequence[Manifest]) -> Manifest:
        """JSON Patch of exactly this state of an object; Transient where it has changed since."""
        metadata = manifest["metadata"]
        known = {"op": "test", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]}
        edited = await self._request(
            "PATCH",
            manifest["kind"],
            metadata["namespace"],
            metadata["name"],
            query={"fieldManager": FIELD_MANAGER},
            body=[known, *operations],
            content_type="application/json-patch+json",
        )
        assert edited is not None, "a write that fails raises"  # noqa: S101
        return edited

    async def scale(self, deployment: Manifest, pods: int) -> None:
        """Another count for exactly this state of a Deployment; Transient where it has changed since."""
        metadata = deployment["metadata"]
        seen = {name: metadata[name] for name in ("name", "namespace", "uid", "resourceVersion")}
        scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": seen, "spec": {"replicas": pods}}
        await self._request(
            "PUT", "Deployment", metadata["namespace"], f"{metadata['name']}/scale",
            query={"fieldManager": BURST_MANAGER}, body=scale,
        )  # fmt: skip

    async def delete(self, manifest: Manifest) -> None:
        """Delete exactly this object: one that was made anew under its name meanwhile is left alone."""
        metadata = manifest["metadata"]
        await self._request(
            "DELETE",
            manifest["kind"],
            metadata["namespace"],
            metadata["name"],
            body={"preconditions": {"uid": metadata["uid"]}, "propagationPolicy": "Background"},
            absent_is_none=True,
        )

    async def evict(self, pod: Manifest) -> None:
        """End exactly this pod; Transient where a disruption budget does not allow it now."""
        metadata = pod["metadata"]
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
            "deleteOptions": {"preconditions": {"uid": metadata["uid"]}},
        }
        path = f"{metadata['name']}/eviction"
        await self._request("POST", "Pod", metadata["namespace"], path, body=eviction, absent_is_none=True)

    async def _request(  # noqa: PLR0913 - one place for what every verb needs
        self,
        verb: str,
        kind: str,
        namespace: str,
        name: str = "",
        *,
        query: dict[str, str] | None = None,
        body: Manifest | Sequence[Manifest] | bytes | None = None,
        content_type: str = "application/json",
        absent_is_none: bool = False,
    ) -> Manifest | None:
        timeout = REQUEST_TIMEOUT
        if verb != "GET" and self._may_write is not None:
            timeout = min(timeout, self._may_write())
            if not timeout:
                raise Transient(f"{verb} {kind} {namespace}/{name}: not the leader")
            # The API server gives up as well: it must not carry out later what nobody waits for.
            query = {**(query or {}), "timeout": f"{math.ceil(timeout)}s"}
        path = _path(kind, namespace, name, query)
        loop = asyncio.get_running_loop()
        started, status = loop.time(), 0
        try:
            async with asyncio.timeout(timeout):
                accepted = "application/json" if name else _accepted(kind, "PartialObjectMetadataList")
                status, headers, payload = await self._send(verb, path, body, content_type, accepted)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Transient(f"{verb} {kind} {namespace}/{name}: {str(error) or type(error).__name__}") from error
        finally:
            self._observe(verb, kind, status, loop.time() - started)
        if status == 404 and absent_is_none:
            return None
        if status >= 400:
            raise failure(f"{verb} {kind} {namespace}/{name}", status, headers.get("Retry-After"), payload)
        result: Manifest = json.loads(payload)
        return result

    async def _send(
        self,
        verb: str,
        path: str,
        body: Manifest | Sequence[Manifest] | bytes | None,
        content_type: str,
        accepted: str = "application/json",
    ) -> tuple[int, dict[str, str], bytes]:
        parameters = await self._api.param_serialize(
            verb,
            path,
            header_params={"Accept": accepted, "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )
        response = await self._api.call_api(*parameters, _request_timeout=REQUEST_TIMEOUT)
        return response.status, dict(response.headers), await response.read()


def _watch_event(what: str, line: bytes) -> WatchEvent:
    event = json.loads(line)
    if event["type"] == "ERROR":
        raise failure(what, event["object"].get("code", 500), None, json.dumps(event["object"]).encode())
    return WatchEvent(event["type"], event["object"])


def _accepted(kind: str, metadata: str) -> str:
    return f"application/json;as={metadata};v=v1;g=meta.k8s.io" if kind in METADATA_ALONE else "application/json"


def _socket(address: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(UNACKNOWLEDGED * 1000))
    return made


def _path(kind: str, namespace: str, name: str, query: dict[str, str] | None) -> str:
    resource = RESOURCES[kind]
    root = "/api" if "/" not in resource.api_version else "/apis"
    scope = f"namespaces/{namespace}/" if namespace else ""
    path = f"{root}/{resource.api_version}/{scope}{resource.plural}"
    return path + (f"/{name}" if name else "") + (f"?{urlencode(query)}" if query else "")


def yaml_body(manifest: Manifest) -> bytes:
    """JSON that reads the same as YAML, which an apply is.

    YAML has no surrogate pairs, so an emoji must not be escaped; and it breaks lines at, or refuses, a few characters
    that JSON takes as they are.
    """
    text = json.dumps(manifest, ensure_ascii=False)
    return _OTHER_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()


def failure(what: str, status: int, retry_after: str | None, payload: bytes) -> HcaError:
    """The error that an HTTP status of the API server stands for; its type decides whether it is retried.

    404 for a write means that the namespace or the kind is gone, which may pass.
    """
    try:
        answer: Any = json.loads(payload)
        message = answer.get("message", "") if isinstance(answer, dict) else ""
    except ValueError:
        message = payload[:200].decode(errors="replace")
    text = f"{what}: {message or f'HTTP {status}'}"
    if status == 409:
        return Conflict(text)
    if status == 410:
        return Expired(text)
    if status in {400, 405, 413, 415, 422}:
        return Rejected(text)
    if status == 403:
        # RBAC says "cannot"; quota, admission and a namespace that is going say "forbidden" for other reasons.
        return Forbidden(text) if " cannot " in message else Rejected(text)
    return Transient(text, retry_after=float(retry_after) if retry_after and retry_after.isdigit() else None)
