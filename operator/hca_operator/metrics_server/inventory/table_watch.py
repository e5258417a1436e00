"""A watch that keeps a table up to date."""

from collections.abc import Callable, Sequence
from typing import Any

from hca_operator.core.names import Manifest
from hca_operator.core.ports import Key
from hca_operator.kube.watch import Source, Watch
from hca_operator.metrics_server.inventory.targets import Table, own_key


class TableWatch(Watch):
    """Keeps a table up to date, and tells whom a change concerns."""

    def __init__(
        self,
        source: Source,
        kind: str,
        namespace: str,
        table: Table[Any],
        changed: Callable[[set[Key]], None],
        **selectors: str,
    ) -> None:
        super().__init__(source, kind, namespace, **selectors)
        self._table = table
        self._changed = changed
        self.listed = False

    def _listed(self, manifests: Sequence[Manifest], _version: int) -> None:
        concerned = self._table.replace(manifests)
        self.listed = True
        self._changed(concerned)

    def _happened(self, type_: str, manifest: Manifest) -> None:
        self._changed(self._table.remove(own_key(manifest)) if type_ == "DELETED" else self._table.put(manifest))
