"""What ConfigMaps or Secrets contain, as digests: of those alone that objects use.

A watch tells of every one of them in the cluster, but as metadata only, and what nobody uses is forgotten at once. The
content is asked for where it is used, when it has changed; only its digest is kept (docs/design/0010).
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple, Protocol

from hca_operator.core.fingerprints import fingerprint
from hca_operator.core.names import Manifest
from hca_operator.core.ports import Key
from hca_operator.kube.cache import version_of
from hca_operator.kube.watch import Source, Watch


class Readable(Source, Protocol):
    """Where their content comes from as well."""

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """An object, None where it does not exist."""


class _Content(NamedTuple):
    version: int
    digest: str | None
    """None: it does not exist."""


class ConfigWatch(Watch):
    """The digests of one kind. Nothing is watched until the first object uses one."""

    def __init__(self, source: Readable, kind: str, namespace: str, *, changed: Callable[[Key], None]) -> None:
        super().__init__(source, kind, namespace)
        self._readable = source
        self._changed = changed
        self._used = asyncio.Event()
        self._uses: dict[Key, frozenset[Key]] = {}
        self._users: dict[Key, set[Key]] = {}
        self._contents: dict[Key, _Content] = {}
        self._told: dict[Key, int] = {}
        """The latest version of each that is used, as the watch has told."""

    async def run(self, waits: Iterable[float]) -> None:
        """Watch for ever, from the first use on."""
        await self._used.wait()
        await super().run(waits)

    async def look(self) -> int:
        """List everything once, unless nothing is used."""
        return await super().look() if self._used.is_set() else 0

    async def digests(self, key: Key, names: Collection[str], *, fresh: bool) -> dict[str, str | None]:
        """The digest of each that the object uses, None for one that does not exist.

        `fresh`: asked for anew, where a change that the watch has not told of yet would make a difference.
        """
        slots = {name: Key(key.namespace, name) for name in names}
        self._note(key, frozenset(slots.values()))
        known = {} if fresh else {name: self._contents[slot] for name, slot in slots.items() if self._is_known(slot)}
        unknown = [name for name in names if name not in known]
        known |= zip(unknown, await asyncio.gather(*(self._read(slots[name]) for name in unknown)), strict=True)
        return {name: content.digest for name, content in known.items()}

    def forget(self, key: Key) -> None:
        """The object uses none of them any more."""
        self._note(key, frozenset())

    def _note(self, key: Key, uses: frozenset[Key]) -> None:
        before = self._uses.pop(key, frozenset())
        for slot in before - uses:
            self._users[slot].discard(key)
            if not self._users[slot]:
                for index in (self._users, self._contents, self._told):
                    index.pop(slot, None)
        for slot in uses - before:
            self._users.setdefault(slot, set()).add(key)
        if uses:
            self._uses[key] = uses
            self._used.set()

    async def _read(self, slot: Key) -> _Content:
        while True:
            told = self._told.get(slot, 0)
            manifest = await self._readable.get(self._kind, slot.namespace, slot.name)
            # No answer is older than what was told before it was asked for, whatever the object's own version.
            version = told if manifest is None else max(told, version_of(manifest))
            content = _Content(version, None if manifest is None else digest(manifest))
            if slot not in self._users:
                return content  # nobody asks any more, so nothing is told of it
            self._contents[slot] = content
            if self._is_known(slot):
                return content

    def _is_known(self, slot: Key) -> bool:
        return slot in self._contents and self._contents[slot].version >= self._told.get(slot, 0)

    def _concerns(self, manifest: Manifest) -> bool:
        return _slot(manifest) in self._users

    def _listed(self, manifests: Sequence[Manifest], version: int) -> None:
        versions = {_slot(manifest): version_of(manifest) for manifest in manifests}
        for slot in list(self._users):
            content = self._contents.get(slot)
            if slot in versions:
                self._hear(slot, versions[slot])
            elif content is not None and content.digest is not None:
                self._hear(slot, version)  # gone, unless it was made after the list

    def _happened(self, _type: str, manifest: Manifest) -> None:
        if self._concerns(manifest):
            self._hear(_slot(manifest), version_of(manifest))

    def _hear(self, slot: Key, version: int) -> None:
        self._told[slot] = max(version, self._told.get(slot, 0))
        if slot in self._contents and not self._is_known(slot):
            for key in self._users[slot]:
                self._changed(key)


def digest(manifest: Manifest) -> str:
    """What stands for the data: not for labels, annotations or the version, which change nothing for the pods."""
    return fingerprint([manifest.get("data") or {}, manifest.get("binaryData") or {}]).hex()


def _slot(manifest: Manifest) -> Key:
    return Key(manifest["metadata"]["namespace"], manifest["metadata"]["name"])
