"""What the workers of a pod need to write heap snapshots: where to, how much, and from which size on.

A volume of the pod's own: it outlives the container, which a leak may end, and needs nothing of the cluster.
"""

from hca_operator.api.heap_snapshots import ENV, PATH, VOLUME
from hca_operator.api.spec import HighConcurrencyApiSpec
from hca_operator.core.names import Manifest
from hca_operator.core.quantities import MEBIBYTE, memory_text, parse_quantity
from hca_operator.desired.sizing import Sizing

SNAPSHOTS_AT_A_TIME = 6
"""The five that are kept, and the one that is being written: the kubelet evicts a pod whose volume is too full."""


def variables(spec: HighConcurrencyApiSpec, sizing: Sizing) -> dict[str, str | int]:
    """Environment variables that configure snapshots in the worker processes; none if snapshots are not enabled."""
    if not spec.memory_restart.heap_snapshots.enabled:
        return {}
    directory, most, at = ENV
    room = parse_quantity(spec.memory_restart.heap_snapshots.size_limit) / MEBIBYTE
    threshold = {} if sizing.worker_max_rss is None else {at: sizing.worker_max_rss}
    return {directory: PATH, most: int(room / SNAPSHOTS_AT_A_TIME), **threshold}


def volumes(spec: HighConcurrencyApiSpec) -> list[Manifest]:
    """The volume of the snapshots, where they are wanted."""
    if not spec.memory_restart.heap_snapshots.enabled:
        return []
    limit = memory_text(parse_quantity(spec.memory_restart.heap_snapshots.size_limit))
    return [{"name": VOLUME, "emptyDir": {"sizeLimit": limit}}]


def mounts(spec: HighConcurrencyApiSpec) -> list[Manifest]:
    """Where the container finds that volume."""
    if not spec.memory_restart.heap_snapshots.enabled:
        return []
    return [{"name": VOLUME, "mountPath": PATH}]
