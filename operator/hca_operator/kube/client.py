"""The verbs of the API server that the operator uses, on plain dicts.

With `connection` the only module that talks to the API server, but for kopf's own watch.
"""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Self

from kubernetes.aio.client import ApiClient

from hca_operator.core.errors import Absent, Rejected, TooLarge, Transient
from hca_operator.core.names import BURST_MANAGER, EVICTION_ANNOTATION, FIELD_MANAGER, MEASURE_ANNOTATION, Manifest
from hca_operator.kube.connection import Connection, RequestObserver, WatchEvent, connect, yaml_body
from hca_operator.kube.resources import RESOURCES

PAGE_SIZE = 250
"""Objects of a list for each request: enough to be quick, few enough to be small."""
LARGEST_PAGE_BYTES = 4 * 2**20
"""With larger objects fewer are asked for: an object may have more than a mebibyte, and in memory a page takes several
times its bytes."""
MOST_LARGE_OBJECTS = 3
"""Of a list that is kept as a whole: so many that fill a page by themselves, and no more, are read."""
MOST_LISTED_BYTES = 8 * 2**20
"""Of all objects of a list together, in JSON: those of a thousand pods, several times over."""
LARGEST_READING_BYTES = 16 * 2**20
"""The PodMetrics of twenty thousand usual pods."""
NEVER_CURRENT = "1"
"""The version of an empty etcd, which no object ever has. An apply that names a version is refused where the object has
another one, and not where there is no object."""


class KubeClient:
    """The API server, with the credentials of the pod or of the kubeconfig. Every verb raises HcaError."""

    def __init__(
        self, api: ApiClient, observe: RequestObserver, writable_seconds: Callable[[], float] | None = None
    ) -> None:
        self._api = api
        self._observe = observe
        self._connection = Connection(api, observe, writable_seconds)

    @classmethod
    async def connect(cls, observe: RequestObserver) -> Self:
        """Connect as the pod's service account, or as the kubeconfig's user outside a cluster."""
        return cls(await connect(), observe)

    def fenced(self, writable_seconds: Callable[[], float]) -> Self:
        """The same client with a limit for writes: none takes longer than `writable_seconds()`, none starts at 0."""
        return type(self)(self._api, self._observe, writable_seconds)

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()

    async def version(self) -> Manifest:
        """What the API server says of itself: `major`, `minor`, `gitVersion`."""
        return await self._connection.get_path("/version")

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """An object as it is now, None if it does not exist."""
        found = await self._connection.request("GET", kind, namespace, name, absent_is_none=True)
        return None if found is None else _live(f"GET {kind} {namespace}/{name}", found, kind, name)

    async def list(self, kind: str, namespace: str, **selectors: str) -> list[Manifest]:
        """The objects of a namespace ("": of all); `labelSelector` and `fieldSelector` narrow them down.

        Of pods, most of the spec and all annotations but the operator's own are left out.

        Raises Rejected if more than MOST_LARGE_OBJECTS have more than a mebibyte or so, or if all that is kept has more
        than MOST_LISTED_BYTES.
        """
        items: list[Manifest] = []
        large = size = 0
        async for page, _version in self.pages(kind, namespace, **selectors):
            kept = list(map(_without_bulk, page) if kind == "Pod" else page)
            large += len(page) == 1
            size += sum(len(json.dumps(item)) for item in kept)
            if large > MOST_LARGE_OBJECTS:
                raise Rejected(
                    f"LIST {kind} {namespace}: more than {MOST_LARGE_OBJECTS} of them are so large that each has to be "
                    "read by itself"
                )
            if size > MOST_LISTED_BYTES:
                raise Rejected(f"LIST {kind} {namespace}: together they have more than {MOST_LISTED_BYTES >> 20} MiB")
            items += kept
        return items

    async def pages(self, kind: str, namespace: str, **selectors: str) -> AsyncIterator[tuple[Sequence[Manifest], int]]:
        """The pages of a list, each with the resource version of the whole list."""
        limit, query = PAGE_SIZE, dict(selectors)
        named = {"kind": kind, "apiVersion": RESOURCES[kind].api_version}  # which the items of a list do not say
        while True:
            try:
                page = await self._connection.request(
                    "GET", kind, namespace, query={"limit": str(limit), **query},
                    most_bytes=LARGEST_PAGE_BYTES if limit > 1 else None,
                )  # fmt: skip
            except TooLarge:
                limit = max(1, limit // 8)
                continue
            items, version, token = _page(f"LIST {kind} {namespace}", page)
            yield [{**named, **item} for item in items], version
            if not token:
                return
            query = {**query, "continue": token}

    async def readings(self, kind: str, namespace: str, **selectors: str) -> Sequence[Manifest] | None:
        """All objects of a kind that an aggregated API computes for each request; None if no server has that API.

        Raises TooLarge for an answer of more than LARGEST_READING_BYTES.
        """
        found = await self._connection.request(
            "GET", kind, namespace, query=selectors, absent_is_none=True, most_bytes=LARGEST_READING_BYTES
        )
        return None if found is None else [item for item in found.get("items") or [] if isinstance(item, dict)]

    async def require(self, kind: str, namespace: str) -> None:
        """Raise Absent if the cluster does not define the kind."""
        what = f"{RESOURCES[kind].plural}.{RESOURCES[kind].api_version}"
        if await self._connection.request("GET", kind, namespace, query={"limit": "1"}, absent_is_none=True) is None:
            raise Absent(f"{what} are not defined in this cluster")

    def watch(self, kind: str, namespace: str, version: int, **selectors: str) -> AsyncIterator[WatchEvent]:
        """Events after a resource version, until the API server ends the stream.

        Raises Expired if that version is too old to go on from, Transient if the connection breaks or is silent for
        longer than the API server ever is.
        """
        return self._connection.watch(kind, namespace, version, **selectors)

    async def apply(self, manifest: Manifest, *, subresource: str = "") -> Manifest:
        """Server-side apply by force; the answer is the object as it is now.

        Raises Transient if the manifest has a `resourceVersion` that is not current.
        """
        metadata = manifest["metadata"]
        return await self._write(
            "PATCH",
            manifest,
            metadata["name"] + (f"/{subresource}" if subresource else ""),
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            body=yaml_body(manifest),
            # With a charset, for the client would make JSON of the body once more.
            content_type="application/apply-patch+yaml; charset=utf-8",
        )

    async def apply_new(self, manifest: Manifest) -> Manifest:
        """Server-side apply of a new object. Raises Transient if one of that name exists, and leaves it as it is.

        Unlike one that is created by POST, the object belongs to server-side apply from the start.
        """
        return await self.apply({**manifest, "metadata": {**manifest["metadata"], "resourceVersion": NEVER_CURRENT}})

    async def create(self, manifest: Manifest) -> Manifest:
        """POST an object. Raises Transient if one of that name exists."""
        return await self._write("POST", manifest, "", body=manifest)

    async def replace(self, manifest: Manifest) -> Manifest:
        """PUT the whole object. Raises Transient if it has changed since its `resourceVersion`."""
        return await self._write("PUT", manifest, manifest["metadata"]["name"], body=manifest)

    async def patch(self, manifest: Manifest, operations: Sequence[Manifest]) -> Manifest:
        """JSON Patch of exactly this state of an object. Raises Transient if it has changed since."""
        metadata = manifest["metadata"]
        unchanged = {"op": "test", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]}
        return await self._write(
            "PATCH",
            manifest,
            metadata["name"],
            query={"fieldManager": FIELD_MANAGER},
            body=[unchanged, *operations],
            content_type="application/json-patch+json",
        )

    async def scale(self, deployment: Manifest, pods: int) -> None:
        """Write `spec.replicas` of exactly this state of a Deployment. Raises Transient if it has changed since."""
        metadata = deployment["metadata"]
        seen = {name: metadata[name] for name in ("name", "namespace", "uid", "resourceVersion")}
        scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": seen, "spec": {"replicas": pods}}
        await self._connection.request(
            "PUT", "Deployment", metadata["namespace"], f"{metadata['name']}/scale",
            query={"fieldManager": BURST_MANAGER}, body=scale,
        )  # fmt: skip

    async def delete(self, manifest: Manifest, *, orphan: bool = False) -> None:
        """Delete exactly this object, by its uid. `orphan`: the objects that it owns stay."""
        metadata = manifest["metadata"]
        await self._connection.request(
            "DELETE",
            manifest["kind"],
            metadata["namespace"],
            metadata["name"],
            body={
                "preconditions": {"uid": metadata["uid"]},
                "propagationPolicy": "Orphan" if orphan else "Background",
            },
            absent_is_none=True,
        )

    async def evict(self, pod: Manifest) -> None:
        """Evict exactly this pod. Raises Transient if a disruption budget does not allow it now."""
        metadata = pod["metadata"]
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
            "deleteOptions": {"preconditions": {"uid": metadata["uid"]}},
        }
        path = f"{metadata['name']}/eviction"
        await self._connection.request("POST", "Pod", metadata["namespace"], path, body=eviction, absent_is_none=True)

    async def _write(  # noqa: PLR0913 - as `request`
        self,
        verb: str,
        manifest: Manifest,
        name: str,
        *,
        query: dict[str, str] | None = None,
        body: Manifest | Sequence[Manifest] | bytes,
        content_type: str = "application/json",
    ) -> Manifest:
        """A write whose answer is the object as it is now."""
        metadata = manifest["metadata"]
        namespace = metadata.get("namespace", "")
        written = await self._connection.request(
            verb, manifest["kind"], namespace, name, query=query, body=body, content_type=content_type
        )
        assert written is not None, "None is for a missing object, which raises here"  # noqa: S101
        # What is created is not always stored, such as a SubjectAccessReview.
        if verb == "POST":
            return written
        return _live(f"{verb} {manifest['kind']} {namespace}/{name}", written, manifest["kind"], metadata["name"])


def _without_bulk(pod: Manifest) -> Manifest:
    """A pod without fields that the operator does not read and that a tenant may fill with a mebibyte."""
    metadata, spec = dict(pod["metadata"]), pod.get("spec") or {}
    metadata.pop("managedFields", None)
    if annotations := metadata.get("annotations"):
        metadata["annotations"] = {name: annotations[name] for name in _READ_ANNOTATIONS if name in annotations}
    kept: Manifest = {
        kind: [{name: each[name] for name in _READ_OF_CONTAINERS if name in each} for each in spec.get(kind) or []]
        for kind in ("initContainers", "containers")
    }
    if account := spec.get("serviceAccountName"):
        kept["serviceAccountName"] = account
    return {**pod, "metadata": metadata, "spec": kept}


_READ_ANNOTATIONS = (MEASURE_ANNOTATION, EVICTION_ANNOTATION)
_READ_OF_CONTAINERS = ("name", "resources", "restartPolicy")


def _live(what: str, answer: Manifest, kind: str, name: str) -> Manifest:
    """The object of an answer. Raises Transient if it is another or none, as what lies between may answer anything."""
    match answer:
        case {"kind": str(found), "metadata": {"name": str(named), "resourceVersion": str(version)}}:
            if (found, named) == (kind, name) and version.isdecimal():
                return answer
    raise Transient(f"{what}: the answer is not the object")


def _page(what: str, answer: Manifest | None) -> tuple[Sequence[Manifest], int, str]:
    """Items of a page, version of the list, and where it goes on. Raises Transient if it is none."""
    match answer or {}:
        case {"metadata": {"resourceVersion": str(version)} as metadata, **rest} if version.isdecimal():
            items = rest.get("items") or []
            if isinstance(items, list) and all(isinstance(item, dict) and "metadata" in item for item in items):
                return items, int(version), metadata.get("continue") or ""
    raise Transient(f"{what}: the answer is not a list")
