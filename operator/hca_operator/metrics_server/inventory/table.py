"""A value per object of one kind, grouped by the HighConcurrencyApi that the object belongs to.

A cluster has tens of thousands of pods with manifests of many kilobytes, of which only a few fields matter here.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Generic, TypeVar

from hca_operator.core.names import Manifest
from hca_operator.core.ports import Key
from hca_operator.kube.faults import survived

T = TypeVar("T")


class Table(Generic[T]):
    """Keeps what `read` returns for each object, by the HighConcurrencyApi that `api_of` returns for it."""

    def __init__(self, read: Callable[[Manifest], T | None], api_of: Callable[[Manifest], Key]) -> None:
        """`read` returns None for an object that is ignored."""
        self._read = read
        self._api_of = api_of
        self._apis: dict[Key, Key] = {}
        """The HighConcurrencyApi of each object that is not ignored."""
        self._kept: dict[Key, dict[Key, T]] = {}

    def __iter__(self) -> Iterator[Key]:
        return iter(self._kept)

    def of(self, api: Key) -> Collection[T]:
        """The values of the objects that belong to a HighConcurrencyApi."""
        return self._kept.get(api, {}).values()

    def put(self, manifest: Manifest) -> set[Key]:
        """Add or update an object. Returns the HighConcurrencyApis whose values change."""
        key = Key.of(manifest)
        value: T | None = None
        api: Key | None = None
        with survived("reading an object", object=str(key)):  # after an error the object is ignored
            value, api = self._read(manifest), self._api_of(manifest)
        if value is None or api is None:
            return self.remove(key)
        if self._apis.get(key) == api and self._kept[api][key] == value:
            return set()
        changed = self.remove(key)
        self._apis[key] = api
        self._kept.setdefault(api, {})[key] = value
        return {api, *changed}

    def remove(self, key: Key) -> set[Key]:
        """Remove an object. Returns the HighConcurrencyApis whose values change."""
        api = self._apis.pop(key, None)
        if api is None:
            return set()
        del self._kept[api][key]
        if not self._kept[api]:
            del self._kept[api]
        return {api}

    def replace(self, manifests: Iterable[Manifest]) -> set[Key]:
        """Keep these objects and no others. Returns the HighConcurrencyApis whose values change."""
        changed: set[Key] = set()
        listed = {Key.of(manifest): manifest for manifest in manifests}
        for gone in self._apis.keys() - listed.keys():
            changed |= self.remove(gone)
        return changed.union(*(self.put(manifest) for manifest in listed.values()))
