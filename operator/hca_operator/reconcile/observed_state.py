"""What a pass has read: of an object and its children, and of its pods. Frozen values; `observe.py` fills them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from hca_operator.api.status import Problem
from hca_operator.core.errors import HcaError
from hca_operator.core.names import Manifest
from hca_operator.core.observed import edited
from hca_operator.core.ports import Key
from hca_operator.reconcile.repairs import Repairs
from hca_operator.reconcile.retries import Retry, Slot
from hca_operator.reconcile.trackers import Applied
from hca_operator.restarts.config_changes import ObservedConfig
from hca_operator.restarts.memory_trend import NearLimit
from hca_operator.scaling.burst import BurstState


@dataclass(frozen=True)
class Observed:
    """An object, its children, and what is known of it from earlier passes."""

    manifest: Manifest
    """The object as it is stored."""
    now: datetime
    children: Mapping[Slot, Manifest]
    """Live objects that have the names of the children, of any owner."""
    unread: Mapping[Slot, HcaError] = field(default_factory=dict)
    """Why children could not be read."""
    retries: Mapping[Slot, Retry] = field(default_factory=dict)
    """What failed in the pass before."""
    config: ObservedConfig = field(default_factory=ObservedConfig)
    autoscalers: Sequence[Manifest] | HcaError = ()
    """Those of the namespace, or why they cannot be listed; only if the count of the Deployment differs from
    spec.replicas."""
    neighbours: Sequence[Manifest] | HcaError = ()
    """What may act on a Deployment that is to be adopted, or why it cannot be listed; only until it is ours."""
    applied: Mapping[Slot, Applied] = field(default_factory=dict)
    repairs: Mapping[Slot, Repairs] = field(default_factory=dict)
    """Repairs in a row of what others changed."""
    user_change: bool = False
    """Whether a change of a user could not be written to the Deployment so far."""
    has_place: bool = True
    """Whether a rollout that no user asked for may begin."""
    burst: BurstState = field(default_factory=BurstState)
    polled_in_namespace: int = 0
    """Objects of the namespace that wait for what no watch reports."""

    @property
    def key(self) -> Key:
        """Namespace and name of the object."""
        return Key.of(self.manifest)

    @property
    def uid(self) -> str:
        """Uid of the object."""
        return str(self.manifest["metadata"]["uid"])

    @property
    def status(self) -> Manifest:
        """The stored status, empty before the first pass."""
        found: Manifest = self.manifest.get("status", {})
        return found

    @property
    def edited(self) -> bool:
        """Whether the object has changed since the stored status was written."""
        return edited(self.manifest)

    def child(self, kind: str) -> Manifest | None:
        """The live object with the name of the child of that kind, None if there is none."""
        return self.children.get((kind, self.key.name))

    def with_child(self, live: Manifest) -> "Observed":
        """The same with another state of a child, such as the answer to a write."""
        slot = live["kind"], live["metadata"]["name"]
        return replace(self, children={**self.children, slot: live})


@dataclass(frozen=True)
class ObservedPods:
    """The pods of an object after its children were written."""

    deployment: Manifest | None = None
    """None if there is none, or if it is not the object's."""
    too_few: bool = False
    """Whether fewer pods serve than the object asks for at least."""
    pods: Sequence[Manifest] = ()
    """Of every track, as far as they were listed."""
    unready: Sequence[Manifest] = ()
    """All pods of the stable track, if one of them does not serve."""
    problem: Problem | None = None
    """Why pods do not serve."""
    unread: HcaError | None = None
    """Why the pods, or the Events about them, could not be listed."""
    replaces: bool = False
    """Whether the replacement of a pod is to begin or to go on."""
    replica_sets: Sequence[Manifest] | HcaError = ()
    """Of detached pods, or why they cannot be listed; only if `replaces`."""
    near_limit: NearLimit | None = None
    """Pods that may have to be replaced because of their memory, if no rollout is under way."""
    held: Mapping[str, int | None] = field(default_factory=dict)
    """Resident memory in bytes of the pods that were asked, by name; None if their workers do not expose it."""
    memory_known: bool | None = None
    """Whether the memory of pods can be read; None before the first reading."""
    memory_unread: bool = False
    """Whether metrics.k8s.io has no reading of any pod of the object."""
    memory_grows: bool = False
    """Whether a pod grows towards its limit."""
