"""One list and watch of a kind for all readers of the process, like client-go's shared informers."""

from collections.abc import Callable, Sequence
from typing import Any

from hca_operator.core.names import Manifest
from hca_operator.core.ports import Key, ListerWatcher
from hca_operator.kube.faults import survived
from hca_operator.kube.informer import Informer
from hca_operator.metrics_server.inventory.table import Table

Changed = Callable[[set[Key]], None]


class SharedInformer(Informer):
    """Keeps the tables of all subscribers up to date. No manifest is kept beside them."""

    def __init__(
        self,
        source: ListerWatcher,
        kind: str,
        namespace: str = "",
        *,
        strip: Callable[[Manifest], Manifest] = lambda manifest: manifest,
        **selectors: str,
    ) -> None:
        """`strip` reduces a manifest to the fields that the tables read."""
        super().__init__(source, kind, namespace, **selectors)
        self._stripped = strip
        self._subscribers: list[tuple[Table[Any], Changed]] = []
        self.synced = False
        """Whether the objects have been listed."""

    def subscribe(self, table: Table[Any], changed: Changed) -> None:
        """Keep a table up to date, from the first list on: subscribe before `run`.

        `changed` is called with the HighConcurrencyApis for which an event changed the table, which may be none.
        """
        self._subscribers.append((table, changed))

    def _strip(self, manifest: Manifest) -> Manifest:
        return self._stripped(manifest)

    def _on_list(self, manifests: Sequence[Manifest], _version: int) -> None:
        found = [(changed, table.replace(manifests)) for table, changed in self._subscribers]
        self.synced = True
        for changed, apis in found:
            self._report(changed, apis)

    def _on_event(self, type_: str, manifest: Manifest) -> None:
        for table, changed in self._subscribers:
            apis = table.remove(Key.of(manifest)) if type_ == "DELETED" else table.put(manifest)
            self._report(changed, apis)

    def _report(self, changed: Changed, apis: set[Key]) -> None:
        with survived(f"watch of {self._kind}"):  # an error of one reader must not keep the change from the others
            changed(apis)
