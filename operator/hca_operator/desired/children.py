"""From the object to the manifests of its children: pure, so that `render` shows what the operator applies.

A builder that returns None says: this child must not exist.
"""

from collections.abc import Callable
from typing import NamedTuple

from hca_operator.api.spec import ApiObject
from hca_operator.core.names import Manifest
from hca_operator.desired.availability import disruption_budget
from hca_operator.desired.isolation import network_policy
from hca_operator.desired.network import ingress, service
from hca_operator.desired.scaling import autoscaler
from hca_operator.desired.sizing import Sizing
from hca_operator.desired.workload import deployment


class Child(NamedTuple):
    """One child of an object: what it is called, and what it must look like (None: it must not exist)."""

    kind: str
    name: str
    manifest: Manifest | None


Builder = Callable[[ApiObject, Sizing], Manifest | None]


_BUILDERS: tuple[tuple[str, Callable[[str], str], Builder], ...] = (
    ("Deployment", str, deployment),
    ("Service", str, service),
    ("PodDisruptionBudget", str, disruption_budget),
    ("HorizontalPodAutoscaler", str, autoscaler),
    ("Ingress", str, ingress),
)

_ISOLATION = "NetworkPolicy"

CHILD_KINDS: tuple[str, ...] = (*dict.fromkeys(kind for kind, _, _ in _BUILDERS), _ISOLATION)


def desired_children(api: ApiObject, sizing: Sizing, *, isolated: bool = True) -> list[Child]:
    """Every child that the object may have, in the order in which they are applied.

    `isolated` is not a field of the object: the platform team decides about it, not the object's author.
    """
    children = [Child(kind, name_of(api.name), build(api, sizing)) for kind, name_of, build in _BUILDERS]
    return [*children, Child(_ISOLATION, api.name, network_policy(api) if isolated else None)]
