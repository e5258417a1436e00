"""Which fields of a live object are whose, by metadata.managedFields: pure.

Server-side apply records for each field manager the fields that it set last: `f:` a field of an object, `k:` an item of
a list by its keys, `v:` an item of a set. An entry without any of them is a field as a whole.
"""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from hca_operator.core.names import BURST_MANAGER, FIELD_MANAGER, Manifest


class Contest(NamedTuple):
    """A field of ours that another manager has set to another value."""

    path: str
    manager: str
    """Empty if the API server has not recorded it."""


def applied_fields(live: Manifest) -> Manifest:
    """The fields that are ours, as an entry of managedFields has them."""
    for entry in live["metadata"].get("managedFields") or []:
        if entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply" and not entry.get("subresource"):
            return dict(entry.get("fieldsV1") or {})
    return {}


def extract(live: Any, fields: Manifest) -> Any:  # noqa: ANN401 - any part of an object
    """The part of a live object that some fields name."""
    if isinstance(live, dict) and fields:
        return {name: extract(value, fields[f"f:{name}"]) for name, value in live.items() if f"f:{name}" in fields}
    if isinstance(live, list) and fields:
        found = ((item, _item_fields(item, fields)) for item in live)
        return [extract(item, named) for item, named in found if named is not None]
    return live


def contested(live: Manifest, desired: Manifest) -> list[Contest]:
    """The fields of a desired object that another manager has changed since they were applied."""
    ours, found = applied_fields(live), set[Contest]()
    for entry in live["metadata"].get("managedFields") or []:
        manager = str(entry.get("manager"))
        if manager not in {FIELD_MANAGER, BURST_MANAGER} and entry.get("subresource") != "status":
            paths = _differing(entry.get("fieldsV1") or {}, ours, live, desired, "")
            found |= {Contest(path, manager) for path in paths}
    if _is_scaled_to_zero(live, desired):
        found.add(Contest("spec.replicas", ""))
    return sorted(found)


def _is_scaled_to_zero(live: Manifest, desired: Manifest) -> bool:
    """Whether another manager has set a count to 0 by the scale subresource, as kubectl scale does.

    The API server then records no manager for the count: Scale leaves out a count of 0.
    """
    if live.get("spec", {}).get("replicas") != 0 or not desired["spec"].get("replicas"):
        return False
    entries = live["metadata"].get("managedFields") or []
    return not any("f:replicas" in (entry.get("fieldsV1") or {}).get("f:spec", {}) for entry in entries)


def _differing(theirs: Manifest, ours: Manifest | None, live: Any, desired: Any, path: str) -> Iterator[str]:  # noqa: ANN401
    """Paths of the fields that are theirs and not ours, and of another value than desired."""
    inner = {name: fields for name, fields in theirs.items() if name != "."}
    if not inner:
        if ours is None and live != desired:
            yield path
    elif isinstance(live, dict) and isinstance(desired, dict):
        for name in desired.keys() & live.keys():
            if (fields := inner.get(f"f:{name}")) is not None:
                below = f"{path}.{name}" if path else name
                yield from _differing(fields, (ours or {}).get(f"f:{name}"), live[name], desired[name], below)
    elif isinstance(live, list) and isinstance(desired, list):
        for key, fields in inner.items():
            item, wanted = (next((item for item in items if _has_key(item, key)), None) for items in (live, desired))
            if item is not None and wanted is not None:
                below = f"{path}[{','.join(map(str, json.loads(key[2:]).values()))}]" if key[:2] == "k:" else path
                yield from _differing(fields, (ours or {}).get(key), item, wanted, below)


def _item_fields(item: Any, fields: Manifest) -> Manifest | None:  # noqa: ANN401
    return next((named for key, named in fields.items() if _has_key(item, key)), None)


def _has_key(item: Any, key: str) -> bool:  # noqa: ANN401
    """Whether an item of a list is the one that an entry of managedFields names."""
    if key.startswith("v:"):
        return bool(item == json.loads(key[2:]))
    if key.startswith("k:") and isinstance(item, dict):
        return bool(json.loads(key[2:]).items() <= item.items())
    return False
