"""The part of the object that has workers write down what their heaps consist of."""

from typing import Annotated, Literal

from hca_operator.api.schema import IntOrString, SpecModel
from hca_operator.api.types import quantity_rule

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

    @property
    def enabled(self) -> bool:
        """Whether workers write snapshots."""
        return self.mode == "Enabled"
