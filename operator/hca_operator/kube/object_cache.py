"""What is known of the objects: the last state of each, told by their watch, by lists and by the answers to writes.

Asking for an object before each decision would be most of what a look at it costs. An older state never replaces a
newer one (`store.py`), so whoever works on an object never goes back to what it was before.
"""

from hca_operator.core.names import KIND, Manifest
from hca_operator.kube.cache import Slot, Store, slot_of, version_of


class ObjectCache:
    """The objects as they were last seen.

    A replica that waits may be told late of what the leader has carried out already. So from the moment it begins to
    lead nothing is known, until a list has shown that nothing is older than that.
    """

    def __init__(self) -> None:
        self._store = Store()
        self._synced = False

    def known(self, namespace: str, name: str) -> Manifest | None:
        """An object as it was last seen, None where that is not to be relied on."""
        return self._store.get(Slot(KIND, namespace, name)) if self._synced else None

    def update(self, manifest: Manifest) -> bool:
        """Take in a state; False where it is not newer than what is known."""
        return self._store.put(manifest)

    def remove(self, manifest: Manifest) -> None:
        """An object was gone at this state; one that was made anew under its name is kept."""
        self._store.remove(slot_of(manifest), before=version_of(manifest))

    def forget(self, namespace: str, name: str) -> None:
        """What was known of an object is wrong, or may be: it is to be asked for."""
        self._store.forget(Slot(KIND, namespace, name))

    def mark_unsynced(self) -> None:
        """Another may have seen more than this process."""
        self._synced = False

    def mark_synced(self) -> None:
        """Every object has been seen since."""
        self._synced = True
