"""Whether changed ConfigMaps and Secrets restart the pods, and when (docs/design/0010).

The Deployment remembers the digest of what was carried out, so a change is seen whoever made it and whenever. The pods
get an annotation, and with it another template, only when there is something to carry out: the first look at an object,
such as that of a new release of the operator, restarts nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from hca_operator.api.spec import ApiObject
from hca_operator.api.status import Unsupported
from hca_operator.core.errors import Forbidden
from hca_operator.core.fingerprints import fingerprint
from hca_operator.core.names import CONFIG_ANNOTATION, Manifest
from hca_operator.core.ports import Configs, Key
from hca_operator.desired.metadata import annotated, with_template
from hca_operator.desired.references import SECRET, Reference, references
from hca_operator.restarts.debounce import Debounce

FORMAT = 1
"""To be raised where digests are computed in another way: each look is then a first one, and restarts nothing."""
NAMED = 3
"""Secrets that a message names at most."""


class _Record(NamedTuple):
    """What a Deployment remembers: which sources its pods use, and what was in them."""

    names: str
    data: str
    """Empty while something is missing without which no pod can start."""

    @classmethod
    def parse(cls, text: str | None) -> Self:
        names, _, data = (text or "").partition(".")
        return cls(names, data)

    @classmethod
    def of(cls, api: ApiObject, used: Mapping[Reference, bool], digests: Mapping[Reference, str | None]) -> Self:
        missing = any(needed and digests[reference] is None for reference, needed in used.items())
        # With the uid, so that equal contents of two objects do not look equal to whoever reads Deployments.
        return cls(
            fingerprint([FORMAT, sorted(used)]).hex()[:8],
            "" if missing else fingerprint([api.uid, sorted(digests.items())]).hex(),
        )


@dataclass(frozen=True)
class Carried:
    """A Deployment with what its pods are to know of their configuration."""

    deployment: Manifest
    changed: bool = False
    """Whether the pods are replaced because their configuration has changed."""
    wait: float | None = None
    """Seconds until that is to be done, None where nothing is."""
    trouble: Forbidden | None = None
    """Why nothing could be decided."""


class Configuration:
    """Follows the configuration of every object."""

    def __init__(self, followed: Mapping[str, Configs], debounce: Debounce) -> None:
        """`followed`: the kinds that may be read, and where from."""
        self._followed = followed
        self._debounce = debounce

    def forget(self, key: Key) -> None:
        """The object is gone, or uses nothing that is followed."""
        for configs in self._followed.values():
            configs.forget(key)
        self._debounce.forget(key)

    def unfollowed(self, api: ApiObject) -> Sequence[Unsupported]:
        """What the pods read without being replaced when it changes."""
        if not api.spec.rollout.restart_on_config_change or SECRET in self._followed:
            return ()
        names = sorted(reference.name for reference in references(api.spec) if reference.kind == SECRET)
        return [_unread(api.name, names)] if names else ()

    async def carry(self, api: ApiObject, desired: Manifest, live: Manifest | None, *, edited: bool) -> Carried:
        """The desired Deployment with its annotations.

        `edited`: the object itself has changed, so its pods may be replaced anyway.
        """
        key = Key(api.namespace, api.name)
        required = references(api.spec)
        stamp = _annotation(live["spec"]["template"]) if live and required else None
        if not (used := self._used(api, required)):
            self.forget(key)
            return Carried(_annotated(desired, None, stamp))
        try:
            digests = await self._digests(key, used, fresh=edited)
        except Forbidden as error:
            return Carried(_annotated(desired, _annotation(live), stamp), trouble=error)
        before, now = _Record.parse(_annotation(live)), _Record.of(api, used, digests)
        if before.names != now.names or not before.data:
            # Pods that use something else are replaced anyway; what those of before have seen was never known.
            self._debounce.unchanged(key)
            return Carried(_annotated(desired, ".".join(now), stamp))
        if now.data in {"", before.data}:
            self._debounce.unchanged(key)
            return Carried(_annotated(desired, ".".join(before), stamp))
        if not edited and (wait := self._debounce.wait(key, now.data)):
            return Carried(_annotated(desired, ".".join(before), stamp), wait=wait)
        return Carried(_annotated(desired, ".".join(now), now.data), changed=True)

    def carried_out(self, api: ApiObject) -> None:
        """The changed configuration is written to the Deployment."""
        self._debounce.carried_out(Key(api.namespace, api.name))

    def _used(self, api: ApiObject, required: Mapping[Reference, bool]) -> dict[Reference, bool]:
        if not api.spec.rollout.restart_on_config_change:
            return {}
        return {reference: needed for reference, needed in required.items() if reference.kind in self._followed}

    async def _digests(self, key: Key, used: Mapping[Reference, bool], *, fresh: bool) -> dict[Reference, str | None]:
        found: dict[Reference, str | None] = {}
        for kind, configs in self._followed.items():
            names = [reference.name for reference in used if reference.kind == kind]
            digests = await configs.digests(key, names, fresh=fresh)
            found |= {Reference(kind, name): digest for name, digest in digests.items()}
        return found


def _unread(name: str, secrets: Sequence[str]) -> Unsupported:
    more = f" and {len(secrets) - NAMED} more" if len(secrets) > NAMED else ""
    return Unsupported(
        field="spec.rollout.restartOnConfigChange",
        reason=f"a change of Secret {', '.join(secrets[:NAMED])}{more} restarts no pods, as the operator may not read "
        "Secrets: ask the platform team to set the operator's chart value rbac.watchSecrets to true, or run "
        f"kubectl rollout restart deployment/{name} after a change",
    )


def _annotated(deployment: Manifest, record: str | None, stamp: str | None) -> Manifest:
    if stamp is not None:
        deployment = with_template(deployment, annotated(deployment["spec"]["template"], CONFIG_ANNOTATION, stamp))
    return deployment if record is None else annotated(deployment, CONFIG_ANNOTATION, record)


def _annotation(manifest: Manifest | None) -> str | None:
    metadata = (manifest or {}).get("metadata") or {}
    value: str | None = (metadata.get("annotations") or {}).get(CONFIG_ANNOTATION)
    return value
