"""Digests of the ConfigMaps or Secrets that objects use.

The watch reports every one of them in the cluster, but as metadata only, and those that no object uses are dropped at
once. The content of the others is read when it has changed; only its digest is kept (docs/design/0010).
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple, Protocol

from hca_operator.core.fingerprints import fingerprint
from hca_operator.core.names import Manifest
from hca_operator.core.ports import Getter, Key, ListerWatcher
from hca_operator.kube.cache import version_of
from hca_operator.kube.informer import Informer

READ_AT_A_TIME = 4
"""Each may have a mebibyte, six times that in JSON, and an object may use hundreds."""


class ConfigSource(ListerWatcher, Getter, Protocol):
    """Lists and watches metadata, and reads content."""


class _Content(NamedTuple):
    version: int
    digest: str | None
    """None: it does not exist."""


class ConfigInformer(Informer):
    """The digests of one kind. Nothing is listed or watched until the first object uses one."""

    def __init__(self, source: ConfigSource, kind: str, namespace: str, *, changed: Callable[[Key], None]) -> None:
        super().__init__(source, kind, namespace)
        self._getter = source
        self._changed = changed
        self._reading = asyncio.Semaphore(READ_AT_A_TIME)
        self._used = asyncio.Event()
        self._configs_of: dict[Key, frozenset[Key]] = {}
        """ConfigMaps or Secrets by the object that uses them."""
        self._users: dict[Key, set[Key]] = {}
        """Objects by the ConfigMap or Secret that they use."""
        self._contents: dict[Key, _Content] = {}
        self._latest: dict[Key, int] = {}
        """The latest resource version of each that is used, as the watch has reported it."""

    async def run(self, backoff: Iterable[float]) -> None:
        """List and watch until cancelled, from the first use on."""
        await self._used.wait()
        await super().run(backoff)

    async def relist(self) -> int:
        """List all once, unless none is used."""
        return await super().relist() if self._used.is_set() else 0

    async def digests(self, key: Key, names: Collection[str], *, fresh: bool) -> dict[str, str | None]:
        """The digest of each that the object uses, None for one that does not exist. Raises HcaError.

        `fresh`: read from the API server, where a change that the watch has not reported yet would make a difference.
        """
        configs = {name: Key(key.namespace, name) for name in names}
        self._note(key, frozenset(configs.values()))
        known = {}
        if not fresh:
            known = {name: self._contents[config] for name, config in configs.items() if self._is_current(config)}
        unknown = [name for name in names if name not in known]
        known |= zip(unknown, await asyncio.gather(*(self._read(configs[name]) for name in unknown)), strict=True)
        return {name: content.digest for name, content in known.items()}

    def forget(self, key: Key) -> None:
        """The object no longer uses any of them."""
        self._note(key, frozenset())

    def _note(self, key: Key, configs: frozenset[Key]) -> None:
        before = self._configs_of.pop(key, frozenset())
        for config in before - configs:
            self._users[config].discard(key)
            if not self._users[config]:
                for index in (self._users, self._contents, self._latest):
                    index.pop(config, None)
        for config in configs - before:
            self._users.setdefault(config, set()).add(key)
        if configs:
            self._configs_of[key] = configs
            self._used.set()

    async def _read(self, config: Key) -> _Content:
        while True:
            async with self._reading:
                content = await self._content(config)
            if config not in self._users:
                return content  # no object uses it any more, so the watch would not keep it up to date
            self._contents[config] = content
            if self._is_current(config):
                return content

    async def _content(self, config: Key) -> _Content:
        latest = self._latest.get(config, 0)
        manifest = await self._getter.get(self._kind, config.namespace, config.name)
        # No answer is older than what the watch had reported before the request, whatever its own version.
        version = latest if manifest is None else max(latest, version_of(manifest))
        return _Content(version, None if manifest is None else data_digest(manifest))

    def _is_current(self, config: Key) -> bool:
        return config in self._contents and self._contents[config].version >= self._latest.get(config, 0)

    def _needs(self, manifest: Manifest) -> bool:
        return Key.of(manifest) in self._users

    def _on_list(self, manifests: Sequence[Manifest], version: int) -> None:
        versions = {Key.of(manifest): version_of(manifest) for manifest in manifests}
        for config in list(self._users):
            content = self._contents.get(config)
            if config in versions:
                self._note_version(config, versions[config])
            elif content is not None and content.digest is not None:
                self._note_version(config, version)  # deleted, unless it was made after the list

    def _on_event(self, _type: str, manifest: Manifest) -> None:
        if self._needs(manifest):
            self._note_version(Key.of(manifest), version_of(manifest))

    def _note_version(self, config: Key, version: int) -> None:
        self._latest[config] = max(version, self._latest.get(config, 0))
        if config in self._contents and not self._is_current(config):
            for key in self._users[config]:
                self._changed(key)


def data_digest(manifest: Manifest) -> str:
    """Digest of the data: labels, annotations and the resource version change nothing for the pods."""
    return fingerprint([manifest.get("data") or {}, manifest.get("binaryData") or {}]).hex()
