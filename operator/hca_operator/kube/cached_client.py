"""The API server behind the caches of the operator."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hca_operator.core.errors import HcaError
from hca_operator.core.names import KIND, MANAGED_BY, MANAGED_BY_LABEL, Manifest
from hca_operator.core.ports import WritableCluster
from hca_operator.desired.children import CHILD_KINDS
from hca_operator.kube.cache import ManifestCache, ObjectRef, ref_of, version_of
from hca_operator.kube.object_cache import ObjectCache


class CachedClient:
    """Sends every request to the API server and caches the objects in its answers; `known` alone reads the caches.

    An object that is not cached is read from the API server, so one whose label was removed by hand is still found.
    """

    def __init__(self, server: WritableCluster, children: ManifestCache, objects: ObjectCache) -> None:
        self._server = server
        self._children = children
        self._objects = objects

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """An object or a child as it is now, None if it does not exist."""
        found = await self._server.get(kind, namespace, name)
        if found is not None:
            return self._cached(found)
        self._forget(ObjectRef(kind, namespace, name))
        return None

    def known(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """An object or a child from the caches, None if they do not have it. No request is made."""
        if kind == KIND:
            return self._objects.known(namespace, name)
        return self._children.get(ObjectRef(kind, namespace, name))

    def is_uncertain(self, kind: str, namespace: str, name: str) -> bool:
        """Whether a write to a child failed, so that it may exist although the cache does not have it."""
        return self._children.is_uncertain(ObjectRef(kind, namespace, name))

    async def list(self, kind: str, namespace: str, **selectors: str) -> list[Manifest]:
        """The objects of a namespace ("": of all)."""
        return await self._server.list(kind, namespace, **selectors)

    async def apply(self, manifest: Manifest, *, subresource: str = "") -> Manifest:
        """Server-side apply by force."""
        with self._forgotten_on_failure(manifest):
            return self._cached(await self._server.apply(manifest, subresource=subresource))

    async def apply_new(self, manifest: Manifest) -> Manifest:
        """Server-side apply of a new object."""
        with self._forgotten_on_failure(manifest):
            return self._cached(await self._server.apply_new(manifest))

    async def patch(self, manifest: Manifest, operations: Sequence[Manifest]) -> Manifest:
        """JSON Patch of exactly this state of an object."""
        with self._forgotten_on_failure(manifest):
            return self._cached(await self._server.patch(manifest, operations))

    async def scale(self, deployment: Manifest, pods: int) -> None:
        """Write `spec.replicas` of exactly this state of a Deployment. Its watch brings the new state."""
        with self._forgotten_on_failure(deployment):
            await self._server.scale(deployment, pods)

    async def delete(self, manifest: Manifest, *, orphan: bool = False) -> None:
        """Delete exactly this object; `orphan`: what it owns stays."""
        with self._forgotten_on_failure(manifest):
            await self._server.delete(manifest, orphan=orphan)
        self._children.remove(ref_of(manifest), before=version_of(manifest))

    async def evict(self, pod: Manifest) -> None:
        """Evict exactly this pod as soon as its disruption budget allows."""
        await self._server.evict(pod)

    async def create(self, manifest: Manifest) -> Manifest:
        """Create an object, which is not cached: no child is made this way."""
        return await self._server.create(manifest)

    def _cached(self, manifest: Manifest) -> Manifest:
        # Only kinds that are watched, for their watch also reports when an object is gone.
        labels = manifest["metadata"].get("labels", {})
        if manifest["kind"] == KIND:
            self._objects.update(manifest)
        elif manifest["kind"] in CHILD_KINDS and labels.get(MANAGED_BY_LABEL) == MANAGED_BY:
            self._children.put(manifest)
        return manifest

    @contextmanager
    def _forgotten_on_failure(self, manifest: Manifest) -> Iterator[None]:
        """After a write that failed, the cached state may be wrong: the next reconcile reads the object."""
        try:
            yield
        except HcaError:
            self._invalidate(ref_of(manifest))
            raise

    def _forget(self, ref: ObjectRef) -> None:
        if ref.kind == KIND:
            self._objects.forget(ref.namespace, ref.name)
        else:
            self._children.forget(ref)

    def _invalidate(self, ref: ObjectRef) -> None:
        if ref.kind == KIND:
            self._objects.forget(ref.namespace, ref.name)
        elif ref.kind in CHILD_KINDS:  # nothing would clear the mark of a kind that is not listed
            self._children.invalidate(ref)
