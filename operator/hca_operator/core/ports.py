"""What the rest of the code needs of the Kubernetes API, one small protocol for each verb.

`hca_operator.kube` implements them; tests put fakes in their place. A module that needs several verbs combines the
protocols of this module and declares no method again.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from typing import NamedTuple, Protocol, Self

from hca_operator.core.names import Manifest


class Key(NamedTuple):
    """Namespace and name of an object, as a rule of a HighConcurrencyApi."""

    namespace: str
    name: str

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """The key of a live object."""
        return cls(manifest["metadata"]["namespace"], manifest["metadata"]["name"])

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Getter(Protocol):
    """Reads one object."""

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """The object as it is now, None if it does not exist. Raises HcaError."""


class Lister(Protocol):
    """Lists objects."""

    async def list(self, kind: str, namespace: str, **selectors: str) -> list[Manifest]:
        """The objects of a namespace ("": of all), narrowed down by `labelSelector` and `fieldSelector`."""


class MetricsLister(Protocol):
    """Lists objects that an aggregated API computes for each request, such as PodMetrics."""

    async def readings(self, kind: str, namespace: str, **selectors: str) -> Sequence[Manifest] | None:
        """All objects of a kind, None if no server of the cluster has this API. Raises HcaError.

        TooLarge: those of one namespace may be few enough.
        """


class Pager(Protocol):
    """Lists objects by pages."""

    def pages(self, kind: str, namespace: str, **selectors: str) -> AsyncIterator[tuple[Sequence[Manifest], int]]:
        """The pages of a list, each with the resource version of the whole list."""


class ListerWatcher(Pager, Protocol):
    """What an informer needs: lists by pages, and watches."""

    def watch(self, kind: str, namespace: str, version: int, **selectors: str) -> AsyncIterator[tuple[str, Manifest]]:
        """Type and object of each event after a resource version. Raises Expired if that version is too old."""


class Creator(Protocol):
    """Creates objects."""

    async def create(self, manifest: Manifest) -> Manifest:
        """POST. Raises Transient if an object of that name exists."""


class Replacer(Protocol):
    """Replaces whole objects."""

    async def replace(self, manifest: Manifest) -> Manifest:
        """PUT. Raises Transient if the object has changed since its `resourceVersion`."""


class Applier(Protocol):
    """Server-side apply."""

    async def apply(self, manifest: Manifest, *, subresource: str = ...) -> Manifest:
        """Server-side apply by force. Raises Transient if the manifest has a `resourceVersion` that is not current."""

    async def apply_new(self, manifest: Manifest) -> Manifest:
        """Server-side apply of a new object. Raises Transient if one of that name exists, and leaves it as it is."""


class WritableCluster(Getter, Lister, Creator, Applier, Protocol):
    """The API server as a reconcile uses it."""

    async def patch(self, manifest: Manifest, operations: Sequence[Manifest]) -> Manifest:
        """JSON Patch of exactly this state of an object. Raises Transient if it has changed since."""

    async def scale(self, deployment: Manifest, pods: int) -> None:
        """Write `spec.replicas` of exactly this state of a Deployment. Raises Transient if it has changed since."""

    async def delete(self, manifest: Manifest, *, orphan: bool = ...) -> None:
        """Delete exactly this object: its uid is a precondition. `orphan`: what it owns stays."""

    async def evict(self, pod: Manifest) -> None:
        """Evict exactly this pod. Raises Transient if it has to wait, as a rule for a disruption budget."""


class Cluster(WritableCluster, Protocol):
    """The API server with the caches of the operator."""

    def known(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """An object or a child from the cache, None if the cache does not have it. No request is made."""

    def is_uncertain(self, kind: str, namespace: str, name: str) -> bool:
        """Whether a write to a child failed, so that it may exist although the cache does not have it."""


class WorkerMemoryReader(Protocol):
    """What the workers of a pod hold in memory."""

    async def __call__(self, address: str, port: int, path: str) -> Sequence[int]:
        """The resident memory of each worker in bytes, from the metrics of the pod; empty if they do not have it."""


class Configs(Protocol):
    """What ConfigMaps or Secrets contain, as digests."""

    async def digests(self, key: Key, names: Collection[str], *, fresh: bool) -> dict[str, str | None]:
        """The digest of each that the object uses, None for one that does not exist; `fresh`: read without the cache.

        The object is queued when one of them changes.
        """

    def forget(self, key: Key) -> None:
        """The object no longer uses any of them."""
