"""Whether changed ConfigMaps and Secrets restart the pods, and when (docs/design/0010). Pure.

An annotation of the Deployment has the digest of the content that was rolled out, so any operator process detects a
change, also one that was made while none ran. The pod template gets an annotation, which starts a rollout, only when
the content has changed: the first pass over an object, such as after an upgrade of the operator, restarts no pods.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Self

from hca_operator.api.spec import ApiObject
from hca_operator.api.status import Unsupported
from hca_operator.core.errors import HcaError
from hca_operator.core.fingerprints import fingerprint
from hca_operator.core.names import CONFIG_ANNOTATION, Manifest
from hca_operator.desired.metadata import annotated, with_template
from hca_operator.desired.references import SECRET, Reference, references
from hca_operator.restarts.debounce import DebounceState, changed, unchanged

FORMAT = 1
"""Raise it when digests are computed in another way: the next pass over each object then restarts no pods."""
MAX_NAMED_SECRETS = 3
"""Most Secrets that a message names."""

Digests = Mapping[Reference, str | None]
"""The digest of the content of each ConfigMap and Secret; None for one that does not exist."""


@dataclass(frozen=True)
class ObservedConfig:
    """The ConfigMaps and Secrets of an object, as they were read."""

    used: Mapping[Reference, bool] = field(default_factory=dict)
    """`followed_references` of the object."""
    digests: Digests = field(default_factory=dict)
    refused: HcaError | None = None
    """Why they could not be read."""
    state: DebounceState = field(default_factory=DebounceState)
    spread_seconds: float = 0.0
    """Random delay for a change that is detected in this pass."""


@dataclass(frozen=True)
class ConfigPlan:
    """The annotations of the Deployment about its configuration, and when a change is rolled out."""

    digests: str | None = None
    """Annotation of the Deployment: digest of the content that was rolled out. None: no annotation."""
    restarted_for: str | None = None
    """Annotation of the pod template: digest of the content for which pods were last restarted. None: no annotation."""
    rolls_out: bool = False
    """Whether pods are replaced now because their configuration has changed."""
    wait_seconds: float | None = None
    """Until the pending change is rolled out; None without a pending change."""
    refused: HcaError | None = None
    """Why nothing could be decided."""
    state: DebounceState = field(default_factory=DebounceState)
    """The next state to store; with `rolls_out`, `after_rollout` of it once the Deployment is written."""

    def applied_to(self, deployment: Manifest) -> Manifest:
        """The Deployment with the annotations."""
        if self.restarted_for is not None:
            template = annotated(deployment["spec"]["template"], CONFIG_ANNOTATION, self.restarted_for)
            deployment = with_template(deployment, template)
        return deployment if self.digests is None else annotated(deployment, CONFIG_ANNOTATION, self.digests)


class _Record(NamedTuple):
    """The annotation of a Deployment: digests of the names of its ConfigMaps and Secrets, and of their content."""

    names: str
    data: str
    """Empty while a ConfigMap or Secret is missing that is not optional."""

    @classmethod
    def parse(cls, text: str | None) -> Self:
        names, _, data = (text or "").partition(".")
        return cls(names, data)

    @classmethod
    def of(cls, api: ApiObject, used: Mapping[Reference, bool], digests: Digests) -> Self:
        missing = any(needed and digests[reference] is None for reference, needed in used.items())
        # With the uid, so that users who may read Deployments but not Secrets cannot compare the contents of Secrets.
        return cls(
            fingerprint([FORMAT, sorted(used)]).hex()[:8],
            "" if missing else fingerprint([api.uid, sorted(digests.items())]).hex(),
        )


def followed_references(api: ApiObject, kinds: Collection[str]) -> dict[Reference, bool]:
    """The ConfigMaps and Secrets whose changes restart the pods; True for those without which no pod can start."""
    if not api.spec.rollout.restart_on_config_change:
        return {}
    return {reference: needed for reference, needed in references(api.spec).items() if reference.kind in kinds}


def unsupported_secrets(api: ApiObject, kinds: Collection[str]) -> Sequence[Unsupported]:
    """Entries of status.unsupported: Secrets whose changes restart no pods, because the operator may not read them."""
    if not api.spec.rollout.restart_on_config_change or SECRET in kinds:
        return ()
    names = sorted(reference.name for reference in references(api.spec) if reference.kind == SECRET)
    return [_unsupported(api.name, names)] if names else ()


def plan_config(
    api: ApiObject,
    found: ObservedConfig,
    deployment: Manifest | None,
    now: datetime,
    *,
    edited: bool,
) -> ConfigPlan:
    """Whether and when a changed configuration is rolled out. `deployment`: the live one, None before its creation.

    `edited`: the object itself has changed, so a changed configuration does not wait: the pods may be replaced anyway.
    """
    stored = _annotation(deployment)
    restarted_for = _annotation(deployment["spec"]["template"]) if deployment and references(api.spec) else None
    if not found.used:
        return ConfigPlan(restarted_for=restarted_for)
    if found.refused:
        return ConfigPlan(stored, restarted_for, refused=found.refused, state=found.state)
    before, current = _Record.parse(stored), _Record.of(api, found.used, found.digests)
    if before.names != current.names or not before.data:
        # With other sources the pod template changes anyway; which content the earlier pods have read is not known.
        return ConfigPlan(".".join(current), restarted_for, state=unchanged(found.state))
    if current.data in {"", before.data}:
        return ConfigPlan(".".join(before), restarted_for, state=unchanged(found.state))
    state, wait = found.state, 0.0
    if not edited:
        state, wait = changed(found.state, current.data, now.timestamp(), found.spread_seconds)
    if wait:
        return ConfigPlan(".".join(before), restarted_for, wait_seconds=wait, state=state)
    return ConfigPlan(".".join(current), current.data, rolls_out=True, state=state)


def _unsupported(name: str, secrets: Sequence[str]) -> Unsupported:
    more = f" and {len(secrets) - MAX_NAMED_SECRETS} more" if len(secrets) > MAX_NAMED_SECRETS else ""
    return Unsupported(
        field="spec.rollout.restartOnConfigChange",
        reason=f"a change of Secret {', '.join(secrets[:MAX_NAMED_SECRETS])}{more} restarts no pods, as the operator "
        "may not read Secrets: ask the platform team to set the operator's chart value rbac.watchSecrets to true, or "
        f"run kubectl rollout restart deployment/{name} after a change",
    )


def _annotation(manifest: Manifest | None) -> str | None:
    metadata = (manifest or {}).get("metadata") or {}
    value: str | None = (metadata.get("annotations") or {}).get(CONFIG_ANNOTATION)
    return value
