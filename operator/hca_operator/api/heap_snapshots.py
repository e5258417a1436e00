"""`spec.memoryRestart.heapSnapshots`: workers write snapshots of their heaps."""

from typing import Annotated, Literal

from hca_operator.api.schema import IntOrString, SpecModel
from hca_operator.api.types import quantity_rule

VOLUME = "heap-snapshots"
PATH = "/heap-snapshots"
ENV = ("HCA_SNAPSHOT_DIR", "HCA_SNAPSHOT_MAX_SIZE", "HCA_WORKER_MAX_RSS")
"""Variables that the operator sets if snapshots are enabled."""

SnapshotsSize = Annotated[
    str,
    IntOrString(max_length=20),
    quantity_rule("64Mi", "4Ti", "must be a size from 64Mi to 4Ti, such as 512Mi or 1Gi"),
]


class HeapSnapshots(SpecModel):
    """Heap snapshots of workers, at their threshold and on request."""

    mode: Literal["Enabled", "Disabled"] = "Disabled"
    """Enabled: workers write heap snapshots when they reach their threshold and when the file \
/heap-snapshots/request is touched. The last five of a pod are kept until the pod ends. The image must support it \
(docs/memory.md). Tracing costs memory and time: enable it only to look for a leak. Disabled: no snapshots."""
    size_limit: SnapshotsSize = "1Gi"
    """Disk space for the snapshots of a pod. A snapshot larger than a sixth of it is not written."""

    @property
    def enabled(self) -> bool:
        """Whether workers write snapshots."""
        return self.mode == "Enabled"
