"""The last known state of each HighConcurrencyApi, from its watch, from lists and from the answers to writes.

To read an object before each reconcile would be most of what a reconcile costs. As in every `ManifestCache`, an older
state never replaces a newer one.
"""

from hca_operator.core.names import KIND, Manifest
from hca_operator.kube.cache import ManifestCache, ObjectRef, ref_of, version_of


class ObjectCache:
    """The HighConcurrencyApi objects.

    A replica that is not the leader may receive late what the leader has already carried out. So when it becomes the
    leader, the cache counts as not synced until a list has shown that nothing in it is older than that moment.
    """

    def __init__(self) -> None:
        self._cache = ManifestCache()
        self._synced = False

    def known(self, namespace: str, name: str) -> Manifest | None:
        """An object from the cache; None while the cache is not synced."""
        return self._cache.get(ObjectRef(KIND, namespace, name)) if self._synced else None

    def update(self, manifest: Manifest) -> bool:
        """Cache a state; False if the cached one is as new or newer."""
        return self._cache.put(manifest)

    def remove(self, manifest: Manifest) -> None:
        """Remove a deleted object, given its last state; a newer one of that name stays."""
        self._cache.remove(ref_of(manifest), before=version_of(manifest))

    def forget(self, namespace: str, name: str) -> None:
        """Remove an object whose cached state may be wrong, so that it is read from the API server."""
        self._cache.forget(ObjectRef(KIND, namespace, name))

    def mark_unsynced(self) -> None:
        """Another replica may have written what this one has not received."""
        self._synced = False

    def mark_synced(self) -> None:
        """Every object has been listed since."""
        self._synced = True
