"""What a reconcile asks of the world, as protocols; `hca_operator.kube` has the real ones."""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from hca_operator.core.names import Manifest


class Key(NamedTuple):
    """Which object."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Measured(Protocol):
    """What other servers measure, through the API server."""

    async def readings(self, kind: str, namespace: str, **selectors: str) -> Sequence[Manifest] | None:
        """All objects of a kind, None where the cluster does not serve it."""


class Server(Protocol):
    """The API server."""

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """An object, None where it does not exist."""

    async def list(self, kind: str, namespace: str, **selectors: str) -> list[Manifest]:
        """Objects of a namespace."""

    async def apply(self, manifest: Manifest, *, subresource: str = ...) -> Manifest:
        """Server-side apply by force."""

    async def apply_new(self, manifest: Manifest) -> Manifest:
        """Server-side apply of what is not there; Transient where something of its name is, which stays as it is."""

    async def patch(self, manifest: Manifest, operations: Sequence[Manifest]) -> Manifest:
        """JSON Patch of exactly this state of an object; Transient where it has changed since."""

    async def scale(self, deployment: Manifest, pods: int) -> None:
        """Another count for exactly this state of a Deployment; Transient where it has changed since."""

    async def delete(self, manifest: Manifest) -> None:
        """Delete exactly this object."""

    async def evict(self, pod: Manifest) -> None:
        """End exactly this pod; Transient where that has to wait, for a disruption budget as a rule."""

    async def create(self, manifest: Manifest) -> Manifest:
        """A new object."""


class Configs(Protocol):
    """What ConfigMaps or Secrets contain, as digests."""

    async def digests(self, key: Key, names: Collection[str], *, fresh: bool) -> dict[str, str | None]:
        """The digest of each that the object uses, None for one that does not exist; `fresh`: asked for anew.

        The object is looked at again when one of them changes.
        """

    def forget(self, key: Key) -> None:
        """The object uses none of them any more."""


class Cluster(Server, Protocol):
    """The API server and what is remembered of it."""

    def known(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """An object or a child of ours as it was last seen, None where nothing is known; nobody is asked."""
