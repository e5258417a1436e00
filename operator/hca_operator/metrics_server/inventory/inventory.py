"""The objects that one reader reads, together with their pods."""

from collections.abc import Callable, Collection
from typing import Generic, TypeVar

from hca_operator.core.names import API_LABEL, KIND, Manifest
from hca_operator.core.ports import Key, ListerWatcher
from hca_operator.metrics_server.inventory.shared_informer import SharedInformer
from hca_operator.metrics_server.inventory.table import Table
from hca_operator.metrics_server.inventory.targets import Pod, api_of_pod, ready_pod, stripped_api, stripped_pod

T = TypeVar("T")


class Inventory(Generic[T]):
    """What one reader needs of each object, and the ready pods of each object, from shared informers."""

    def __init__(
        self,
        apis: SharedInformer,
        read: Callable[[Manifest], T | None],
        pods: SharedInformer,
        api_of: Callable[[Manifest], Key] = api_of_pod,
    ) -> None:
        """`read` returns what is kept of an object; None to ignore it. `api_of` returns the object of a pod."""
        self.apis = Table(read, Key.of)
        self.pods = Table(ready_pod, api_of)
        self._informers = (apis, pods)
        self._changed: Callable[[set[Key]], None] | None = None
        self._complete = False
        apis.subscribe(self.apis, self._on_change)
        pods.subscribe(self.pods, self._on_change)

    def follow(self, changed: Callable[[set[Key]], None]) -> None:
        """Call `changed` once with all keys, as soon as objects and pods are listed, and then with those that change.

        Not earlier: pods that are listed after their object would look like new ones.
        """
        self._changed, self._complete = changed, False
        self._on_change(set())

    def api(self, key: Key) -> T | None:
        """What `read` returned for an object; None if it is ignored or does not exist."""
        return next(iter(self.apis.of(key)), None)

    def pods_of(self, key: Key) -> Collection[Pod]:
        """The ready pods of an object."""
        return self.pods.of(key)

    def _on_change(self, keys: set[Key]) -> None:
        if self._changed is None or not all(informer.synced for informer in self._informers):
            return
        if not self._complete:
            self._complete = True
            keys = {*self.apis, *self.pods}
        self._changed(keys)


def api_informer(source: ListerWatcher, namespace: str = "") -> SharedInformer:
    """The informer of the HighConcurrencyApi objects."""
    return SharedInformer(source, KIND, namespace, strip=stripped_api)


def pod_informer(source: ListerWatcher, namespace: str = "") -> SharedInformer:
    """The informer of their pods."""
    return SharedInformer(source, "Pod", namespace, strip=stripped_pod, labelSelector=API_LABEL)
