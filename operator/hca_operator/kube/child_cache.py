"""The children as the operator sees them: one watch for each kind, for our label alone, and a memory that reads it.

kopf could watch them too, but only all objects of a kind: every Deployment of the cluster would be decoded to find
ours (docs/design/0001). What the memory lacks is asked for, so an object whose label was removed is still found.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from hca_operator.core.errors import HcaError
from hca_operator.core.names import KIND, MANAGED_BY, MANAGED_BY_LABEL, Manifest
from hca_operator.core.observed import owner_of
from hca_operator.core.ports import Key, Server
from hca_operator.desired.children import CHILD_KINDS
from hca_operator.desired.metadata import MANAGED_SELECTOR
from hca_operator.kube.cache import Slot, Store, slot_of, version_of
from hca_operator.kube.object_cache import ObjectCache
from hca_operator.kube.watch import Source, Watch


class ChildWatch(Watch):
    """Keeps the store up to date on the children of one kind."""

    def __init__(
        self, source: Source, store: Store, kind: str, namespace: str, *, changed: Callable[[Key], None]
    ) -> None:
        super().__init__(source, kind, namespace, labelSelector=MANAGED_SELECTOR)
        self._store = store
        self._changed = changed

    def _listed(self, manifests: Sequence[Manifest], version: int) -> None:
        for manifest in self._store.replace(self._kind, self._namespace, manifests, version):
            self._tell(manifest)

    def _happened(self, type_: str, manifest: Manifest) -> None:
        if type_ == "DELETED":
            self._store.remove(slot_of(manifest), before=version_of(manifest))
            self._tell(manifest)
        elif self._store.put(manifest):
            self._tell(manifest)

    def _tell(self, manifest: Manifest) -> None:
        if owner := owner_of(manifest):
            self._changed(Key(manifest["metadata"]["namespace"], owner))


class CachedClient:
    """The API server and what is remembered of it: every answer that it gives is."""

    def __init__(self, cluster: Server, store: Store, objects: ObjectCache) -> None:
        self._cluster = cluster
        self._store = store
        self._objects = objects

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """An object or a child as it is now."""
        found = await self._cluster.get(kind, namespace, name)
        if found is not None:
            return self._keep(found)
        self._forget(Slot(kind, namespace, name))
        return None

    def known(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """An object or a child of ours as it was last seen, None where nothing is known."""
        if kind == KIND:
            return self._objects.known(namespace, name)
        return self._store.get(Slot(kind, namespace, name))

    async def list(self, kind: str, namespace: str, **selectors: str) -> list[Manifest]:
        """Objects of a namespace."""
        return await self._cluster.list(kind, namespace, **selectors)

    async def apply(self, manifest: Manifest, *, subresource: str = "") -> Manifest:
        """Server-side apply by force."""
        with self._doubted(manifest):
            return self._keep(await self._cluster.apply(manifest, subresource=subresource))

    async def apply_new(self, manifest: Manifest) -> Manifest:
        """Server-side apply of what is not there."""
        with self._doubted(manifest):
            return self._keep(await self._cluster.apply_new(manifest))

    async def patch(self, manifest: Manifest, operations: Sequence[Manifest]) -> Manifest:
        """JSON Patch of exactly this state of an object."""
        with self._doubted(manifest):
            return self._keep(await self._cluster.patch(manifest, operations))

    async def scale(self, deployment: Manifest, pods: int) -> None:
        """Another count for a Deployment, whose watch tells of it."""
        with self._doubted(deployment):
            await self._cluster.scale(deployment, pods)

    async def delete(self, manifest: Manifest) -> None:
        """Delete exactly this object."""
        with self._doubted(manifest):
            await self._cluster.delete(manifest)
        self._store.remove(slot_of(manifest), before=version_of(manifest))

    async def evict(self, pod: Manifest) -> None:
        """End exactly this pod as soon as its disruption budget allows."""
        await self._cluster.evict(pod)

    async def create(self, manifest: Manifest) -> Manifest:
        """A new object, which is not remembered: no child is made this way."""
        return await self._cluster.create(manifest)

    def _keep(self, manifest: Manifest) -> Manifest:
        # Only what the watches tell of, for they also tell when it is gone.
        labels = manifest["metadata"].get("labels", {})
        if manifest["kind"] == KIND:
            self._objects.update(manifest)
        elif manifest["kind"] in CHILD_KINDS and labels.get(MANAGED_BY_LABEL) == MANAGED_BY:
            self._store.put(manifest)
        return manifest

    @contextmanager
    def _doubted(self, manifest: Manifest) -> Iterator[None]:
        """After a write that failed, what was known may be wrong: it is asked for next time."""
        try:
            yield
        except HcaError:
            self._forget(slot_of(manifest))
            raise

    def _forget(self, slot: Slot) -> None:
        if slot.kind == KIND:
            self._objects.forget(slot.namespace, slot.name)
        else:
            self._store.forget(slot)
