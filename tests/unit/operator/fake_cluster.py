"""An API server in memory, as far as a reconcile can tell: server-side apply with owners, uids, and failures on demand.

It knows two traps of the real one: an applied field that its only owner lets go of disappears, and a Deployment whose
`replicas` disappear gets 1.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from hca_operator.core.errors import Transient
from hca_operator.core.names import FIELD_MANAGER, MANAGED_BY, MANAGED_BY_LABEL, Manifest

Slot = tuple[str, str, str]
Path = tuple[str, ...]


IDENTITY: set[Path] = {("metadata", field) for field in ("name", "namespace", "uid", "resourceVersion")}
"""Fields of an apply that it names the object by, and does not write."""


@dataclass
class FakeCluster:
    """Objects by kind, namespace and name."""

    objects: dict[Slot, Manifest] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    changes: list[Manifest] = field(default_factory=list)
    """Every object as it was after each change."""
    events: list[Manifest] = field(default_factory=list)
    fail_at: int | None = None
    """The call, counted from 0, that fails."""
    error: Exception | None = None
    refuses: Callable[[str], Exception | None] = lambda _call: None
    """Why a call fails, None if it does not."""
    lose_answer: bool = False
    """Whether the failing call is carried out all the same."""
    budget_is_spent: bool = False
    budgets_clash: bool = False
    """Whether the disruption budget refuses every eviction."""
    before_apply: Callable[[], None] = lambda: None
    """What others do between a look and the write that follows from it."""
    _owned: dict[Slot, set[Path]] = field(default_factory=dict)
    _edited: dict[Slot, set[Path]] = field(default_factory=dict)
    _version: int = 100

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        self._call(f"get {kind} {name}")
        return copy.deepcopy(self.objects.get((kind, namespace, name)))

    def known(self, kind: str, namespace: str, name: str) -> Manifest | None:
        found = self.objects.get((kind, namespace, name))
        labels = {} if found is None else found["metadata"].get("labels", {})
        return copy.deepcopy(found) if labels.get(MANAGED_BY_LABEL) == MANAGED_BY else None

    def is_uncertain(self, _kind: str, _namespace: str, _name: str) -> bool:
        return False  # what `known` does not have, there is not

    async def apply_new(self, manifest: Manifest) -> Manifest:
        slot = slot_of(manifest)
        self._call(f"make {slot[0]} {slot[2]}", lambda: self._make(slot, manifest))
        return copy.deepcopy(self.objects[slot])

    async def apply(self, manifest: Manifest, *, subresource: str = "") -> Manifest:
        self.before_apply()
        slot = slot_of(manifest)
        what = f"apply {slot[0]} {slot[2]}" + (f"/{subresource}" if subresource else "")
        self._call(what, lambda: self._apply(manifest))
        return copy.deepcopy(self.objects[slot])

    async def patch(self, manifest: Manifest, operations: Sequence[Manifest]) -> Manifest:
        slot = slot_of(manifest)
        self._call(f"patch {slot[0]} {slot[2]}", lambda: self._json_patch(slot, operations))
        return copy.deepcopy(self.objects[slot])

    async def scale(self, deployment: Manifest, pods: int) -> None:
        slot = slot_of(deployment)
        self._call(f"scale {slot[0]} {slot[2]}", lambda: self._scale(slot, deployment, pods))

    async def evict(self, pod: Manifest) -> None:
        slot, uid = slot_of(pod), pod["metadata"]["uid"]
        self._call(f"evict Pod {slot[2]}", lambda: self._evict(slot, uid))

    async def create(self, manifest: Manifest) -> Manifest:
        if manifest["kind"] == "Event":
            self._call(f"create Event {manifest['reason']}", lambda: self.events.append(manifest))
        else:
            slot = slot_of(manifest)
            self._call(f"create {slot[0]} {slot[2]}", lambda: self._make(slot, manifest))
        return manifest

    async def delete(self, manifest: Manifest, *, orphan: bool = False) -> None:
        slot, uid = slot_of(manifest), manifest["metadata"]["uid"]
        verb = "orphan" if orphan else "delete"
        self._call(f"{verb} {slot[0]} {slot[2]} {uid}", lambda: self.remove(slot, uid))

    @property
    def writes(self) -> list[str]:
        """The calls that may change something."""
        return [call for call in self.calls if not call.startswith(("get", "list"))]

    def put(self, manifest: Manifest) -> None:
        """Store an object as another client does."""
        stored = copy.deepcopy(manifest)
        self._bump(stored)
        self.objects[slot_of(manifest)] = stored

    def edit(self, slot: Slot, *path: str, value: Any) -> None:
        """Change a field by hand, as kubectl edit does; None removes it."""
        node = self.objects[slot]
        for step in path[:-1]:
            node = node.setdefault(step, {})
        if value is None:
            node.pop(path[-1], None)
        else:
            node[path[-1]] = value
        if slot in self._owned:  # what another client has changed is its own
            self._owned[slot] = {owned for owned in self._owned[slot] if owned[: len(path)] != path}
            self._edited.setdefault(slot, set()).add(path)
            self.objects[slot]["metadata"]["managedFields"] = _managed_fields(
                self._owned[slot], self._edited.get(slot, set())
            )
        self._bump(self.objects[slot])

    def remove(self, slot: Slot, uid: str) -> None:
        """Delete an object if it is still the one with that uid."""
        if slot in self.objects and self.objects[slot]["metadata"]["uid"] == uid:
            del self.objects[slot]
            self._owned.pop(slot, None)

    def state(self) -> dict[Slot, Manifest]:
        """Every object without what differs from one run to the next."""
        state = copy.deepcopy(self.objects)
        for stored in state.values():
            for name in ("uid", "resourceVersion", "generation"):
                stored["metadata"].pop(name, None)
        return state

    async def list(self, kind: str, namespace: str, *, labelSelector: str = "", **_fields: str) -> list[Manifest]:  # noqa: N803
        self._call(f"list {kind}")
        wanted = dict(term.split("=") for term in labelSelector.split(",") if term)
        return [
            copy.deepcopy(found)
            for (of, ns, _), found in self.objects.items()
            if (of, ns) == (kind, namespace) and wanted.items() <= found["metadata"].get("labels", {}).items()
        ]

    def _call(self, what: str, carry_out: Any = lambda: None) -> None:
        self.calls.append(what)
        if (refusal := self.refuses(what)) is not None:
            raise refusal
        if len(self.calls) - 1 != self.fail_at:
            carry_out()
            return
        if self.lose_answer:
            carry_out()
        assert self.error is not None
        raise self.error

    def _scale(self, slot: Slot, seen: Manifest, pods: int) -> None:
        if self.objects[slot]["metadata"]["resourceVersion"] != seen["metadata"]["resourceVersion"]:
            raise Transient(f"{slot}: the object has been modified")
        self.edit(slot, "spec", "replicas", value=pods)

    def _evict(self, slot: Slot, uid: str) -> None:
        if self.budgets_clash:
            raise Transient("This pod has more than one PodDisruptionBudget, which the eviction does not support.")
        if self.budget_is_spent:
            raise Transient("Cannot evict pod as it would violate the pod's disruption budget.")
        if slot in self.objects and self.objects[slot]["metadata"]["uid"] == uid:
            self.edit(slot, "metadata", "deletionTimestamp", value="2026-01-02T03:04:05Z")

    def _json_patch(self, slot: Slot, operations: Sequence[Manifest]) -> None:
        for operation in operations:
            path = tuple(step.replace("~1", "/") for step in operation["path"].split("/")[1:])
            if operation["op"] == "remove":
                _remove(self.objects[slot], path)
            elif operation["op"] == "test":
                assert operation["path"] == "/metadata/uid", "nothing else is asked"
                if self.objects[slot]["metadata"]["uid"] != operation["value"]:
                    raise Transient(f"{slot}: the uid is of an object that is gone")
            else:
                _set(self.objects[slot], path, copy.deepcopy(operation["value"]))
        self._bump(self.objects[slot])

    def _make(self, slot: Slot, manifest: Manifest) -> None:
        if slot in self.objects:
            raise Transient(f"{slot}: the object has been modified")
        self._apply(manifest)

    def _apply(self, manifest: Manifest) -> None:
        slot = slot_of(manifest)
        before = self.objects.get(slot)
        uid = manifest["metadata"].get("uid")
        if uid is not None and (before is None or before["metadata"]["uid"] != uid):
            raise Transient(f"{slot}: the uid is of an object that is gone")
        version = manifest["metadata"].get("resourceVersion")
        if version is not None and (before is None or before["metadata"]["resourceVersion"] != version):
            raise Transient(f"{slot}: the object has been modified")
        live: Manifest = copy.deepcopy(before) if before else {"metadata": {}}
        wanted = dict(_leaves(manifest))
        for path in self._owned.get(slot, set()) - wanted.keys():
            _remove(live, path)
        for path, value in wanted.items():
            _set(live, path, value)
        self._owned[slot] = set(wanted) - IDENTITY
        taken = {owned[:length] for owned in self._owned[slot] for length in range(len(owned) + 1)}
        self._edited[slot] = self._edited.get(slot, set()) - taken
        live["metadata"]["managedFields"] = _managed_fields(self._owned[slot], self._edited.get(slot, set()))
        if slot[0] == "Deployment":
            live["spec"].setdefault("replicas", 1)
        if live != before:
            self._bump(live)
            self.objects[slot] = live

    def _bump(self, live: Manifest) -> None:
        self._version += 1
        live["metadata"]["resourceVersion"] = str(self._version)
        live["metadata"].setdefault("generation", 1)
        live["metadata"].setdefault("uid", f"uid-{self._version}")
        self.changes.append(copy.deepcopy(live))


def slot_of(manifest: Manifest) -> Slot:
    return manifest["kind"], manifest["metadata"]["namespace"], manifest["metadata"]["name"]


def _managed_fields(ours: set[Path], theirs: set[Path]) -> list[Manifest]:
    return [
        {"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": _fields(ours)},
        {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": _fields(theirs)},
    ]


def _fields(paths: set[Path]) -> Manifest:
    fields: Manifest = {}
    for path in sorted(paths):
        node = fields
        for step in path:
            node = node.setdefault(f"f:{step}", {})
    return fields


def _leaves(node: Manifest, above: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Fields as server-side apply owns them; lists are taken as one field."""
    for name, value in node.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*above, name))
        else:
            yield (*above, name), copy.deepcopy(value)


def _set(node: Manifest, path: Path, value: Any) -> None:
    for step in path[:-1]:
        node = node.setdefault(step, {})
    node[path[-1]] = value


def _remove(node: Manifest, path: Path) -> None:
    for step in path[:-1]:
        node = node.get(step, {})
    node.pop(path[-1], None)
