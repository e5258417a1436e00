"""Watches the children of all objects, by one watch for each kind that selects the operator's own label.

kopf could watch them too, but only without a selector: every Deployment of the cluster would be decoded to find those
of the operator (docs/design/0001).
"""

from collections.abc import Callable, Sequence

from hca_operator.core.names import Manifest
from hca_operator.core.observed import owner_of
from hca_operator.core.ports import Key, ListerWatcher
from hca_operator.desired.metadata import MANAGED_SELECTOR
from hca_operator.kube.cache import ManifestCache, ref_of, version_of
from hca_operator.kube.informer import Informer


class ChildInformer(Informer):
    """Keeps the cache up to date on the children of one kind, and reports which object a change concerns."""

    def __init__(
        self, source: ListerWatcher, cache: ManifestCache, kind: str, namespace: str, *, changed: Callable[[Key], None]
    ) -> None:
        super().__init__(source, kind, namespace, labelSelector=MANAGED_SELECTOR)
        self._cache = cache
        self._changed = changed

    def _on_list(self, manifests: Sequence[Manifest], version: int) -> None:
        for manifest in self._cache.replace(self._kind, self._namespace, manifests, version):
            self._report(manifest)

    def _on_event(self, type_: str, manifest: Manifest) -> None:
        if type_ == "DELETED":
            self._cache.remove(ref_of(manifest), before=version_of(manifest))
            self._report(manifest)
        elif self._cache.put(manifest):
            self._report(manifest)

    def _report(self, child: Manifest) -> None:
        if owner := owner_of(child):
            self._changed(Key(child["metadata"]["namespace"], owner))
