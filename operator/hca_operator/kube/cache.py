"""The last known state of live objects, kept as compressed JSON.

That takes a tenth of the memory of dicts: thousands of APIs have tens of thousands of children, and each is read only
when its object is reconciled. An older state never replaces a newer one, so a watch that lags behind does not undo what
the operator has just written; resource versions can be compared as numbers (KEP-5504).
"""

import json
import zlib
from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from hca_operator.core.names import API_LABEL, Manifest
from hca_operator.core.observed import controller_of

FASTEST = 1
"""Level of zlib: slower levels gain little on a few kilobytes."""
LARGEST_BYTES = 32 * 2**10
"""Of the JSON of an object that is kept whole, several times that of usual ones. A user who may create objects could
otherwise fill the memory with some dozens of them, and to compress a megabyte takes a twentieth of a second; they are
read from the API server instead."""
MOST_REMOVED = 4096
"""Removed objects that are kept by name: more than are removed while an answer is under way, in a mebibyte."""


class ObjectRef(NamedTuple):
    """Identifies an object by name."""

    kind: str
    namespace: str
    name: str


def ref_of(manifest: Manifest) -> ObjectRef:
    """The reference of an object."""
    return ObjectRef(manifest["kind"], manifest["metadata"]["namespace"], manifest["metadata"]["name"])


def version_of(manifest: Manifest) -> int:
    """The resource version of a live object."""
    return int(manifest["metadata"]["resourceVersion"])


class _Entry(NamedTuple):
    version: int
    compressed: bytes
    whole: bool
    """Otherwise only what tells whose the object is."""


class ManifestCache:
    """Live objects by kind, namespace and name."""

    def __init__(self) -> None:
        self._entries: dict[ObjectRef, _Entry] = {}
        self._uncertain: set[ObjectRef] = set()
        self._removed: OrderedDict[ObjectRef, int] = OrderedDict()
        """At which version objects did not exist. The answer to a write may come after the event of the deletion."""

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, ref: ObjectRef) -> Manifest | None:
        """The last known state. None does not mean that the object does not exist."""
        entry = self._entries.get(ref)
        return None if entry is None or not entry.whole else _read(entry)

    def is_uncertain(self, ref: ObjectRef) -> bool:
        """Whether a write to an object failed, and nothing has been heard of the object since."""
        return ref in self._uncertain

    def put(self, manifest: Manifest) -> bool:
        """Cache a state; False if the cached one is as new or newer, or the object has been removed since."""
        ref, version = ref_of(manifest), version_of(manifest)
        if version <= self._removed.get(ref, 0):
            return False
        self._removed.pop(ref, None)
        self._uncertain.discard(ref)
        entry = self._entries.get(ref)
        if entry is not None and entry.version >= version:
            return False
        text = json.dumps(manifest).encode()
        whole = len(text) <= LARGEST_BYTES
        if not whole:
            text = json.dumps(_identity(manifest)).encode()
        self._entries[ref] = _Entry(version, zlib.compress(text, FASTEST), whole)
        return True

    def remove(self, ref: ObjectRef, *, before: int) -> bool:
        """Remove an object that did not exist at a resource version; a newer one of that name stays."""
        entry = self._entries.get(ref)
        if entry is not None and entry.version > before:
            return False
        self._removed[ref] = max(before, self._removed.pop(ref, 0))
        if len(self._removed) > MOST_REMOVED:
            self._removed.popitem(last=False)
        return self._entries.pop(ref, None) is not None

    def forget(self, ref: ObjectRef) -> None:
        """Remove an object that the API server does not have."""
        self._entries.pop(ref, None)
        self._uncertain.discard(ref)

    def invalidate(self, ref: ObjectRef) -> None:
        """Remove an object whose cached state may be wrong, so that it is read from the API server."""
        self._entries.pop(ref, None)
        self._uncertain.add(ref)

    def replace(self, kind: str, namespace: str, listed: Iterable[Manifest], version: int) -> list[Manifest]:
        """Take in the list of a namespace ("": of all) and its version. Returns what changed, deleted objects too."""
        changed = []
        present = set()
        for manifest in listed:
            present.add(ref_of(manifest))
            if self.put(manifest):
                changed.append(manifest)

        def is_listed(ref: ObjectRef) -> bool:
            return ref.kind == kind and namespace in {"", ref.namespace}

        self._uncertain = {ref for ref in self._uncertain if not is_listed(ref)}
        absent = [ref for ref in self._entries if is_listed(ref) and ref not in present]
        for ref in absent:
            last = _read(self._entries[ref])
            if self.remove(ref, before=version):
                changed.append(last)
        return changed


def _read(entry: _Entry) -> Manifest:
    manifest: Manifest = json.loads(zlib.decompress(entry.compressed))
    return manifest


def _identity(manifest: Manifest) -> Manifest:
    """What names an object and the one that it belongs to."""
    metadata, controller = manifest["metadata"], controller_of(manifest)
    label = (metadata.get("labels") or {}).get(API_LABEL)
    kept = {name: metadata[name] for name in ("name", "namespace", "resourceVersion")}
    kept |= {"ownerReferences": [controller]} if controller else {}
    return {"kind": manifest["kind"], "metadata": kept | ({"labels": {API_LABEL: label}} if label else {})}
