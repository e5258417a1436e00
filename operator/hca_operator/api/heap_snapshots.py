"""The part of the object that has workers write down what their heaps consist of."""

from typing import TYPE_CHECKING, Annotated, Literal

from hca_operator.api.schema import IntOrString, Rule, SpecModel
from hca_operator.api.types import quantity_rule

if TYPE_CHECKING:
    from hca_operator.api.spec import HighConcurrencyApiSpec

VOLUME = "heap-snapshots"
PATH = "/heap-snapshots"
ENV = ("HCA_SNAPSHOT_DIR", "HCA_SNAPSHOT_MAX_SIZE", "HCA_WORKER_MAX_RSS")
"""Variables that the operator sets where snapshots are wanted."""

SnapshotsSize = Annotated[
    str,
    IntOrString(max_length=20),
    quantity_rule("64Mi", "4Ti", "must be a size from 64Mi to 4Ti, such as 512Mi or 1Gi"),
]


class HeapSnapshots(SpecModel):
    """What the heaps of the workers consist of, written down at the threshold of a worker and on request."""

    mode: Literal["Enabled", "Disabled"] = "Disabled"
    """Whether workers write heap snapshots: when they reach their threshold, and when somebody touches \
/heap-snapshots/request. The last five of a pod are kept for as long as the pod lives. The image must be able to \
(docs/memory.md). Tracing costs memory and time, so switch it on to look for a leak."""
    size_limit: SnapshotsSize = "1Gi"
    """Room on the node's disk for the snapshots of a pod. One that takes more than a sixth of it is not written."""


def wanted(spec: "HighConcurrencyApiSpec") -> bool:
    """Whether workers are to write any."""
    return spec.memory_restart.heap_snapshots.mode == "Enabled"


_OFF = "self.memoryRestart.heapSnapshots.mode == 'Disabled'"
HEAP_SNAPSHOT_RULES = (
    Rule(
        cel=f"{_OFF} || !has(self.volumes) || self.volumes.all(v, v.name != '{VOLUME}')",
        message=f"volumes must have no {VOLUME} while memoryRestart.heapSnapshots.mode is Enabled, "
        "which brings a volume of this name: choose another",
        check=lambda spec: not wanted(spec) or all(volume.name != VOLUME for volume in spec.volumes),
        field_path=".volumes",
    ),
    Rule(
        cel=f"{_OFF} || !has(self.volumeMounts) || self.volumeMounts.all(m, m.mountPath != '{PATH}')",
        message=f"volumeMounts must have none at {PATH} while memoryRestart.heapSnapshots.mode is Enabled, "
        "which has the snapshots there: choose another path",
        check=lambda spec: not wanted(spec) or all(mount.mount_path != PATH for mount in spec.volume_mounts),
        field_path=".volumeMounts",
    ),
    Rule(
        cel=f"{_OFF} || !has(self.env) || self.env.all(e, !(e.name in {list(ENV)}))",
        message=f"env must not have {', '.join(ENV[:-1])} or {ENV[-1]} "
        "while memoryRestart.heapSnapshots.mode is Enabled: "
        "use memoryRestart.heapSnapshots.sizeLimit and memoryRestart.worker",
        check=lambda spec: not wanted(spec) or all(variable.name not in ENV for variable in spec.env),
        field_path=".env",
    ),
)
