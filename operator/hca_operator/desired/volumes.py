"""The pod's volumes and where its container finds them."""

from hca_operator.api.spec import HighConcurrencyApiSpec
from hca_operator.api.volumes import OWN_PATH, OWN_VOLUME, Volume
from hca_operator.core.names import Manifest
from hca_operator.core.quantities import memory_text, parse_quantity
from hca_operator.desired import heap_snapshots

TMP_SIZE = "256Mi"
"""Room in /tmp, the one writable folder: uploads on their way and the metrics files of the workers."""


def volumes(spec: HighConcurrencyApiSpec) -> list[Manifest]:
    """The pod's own volumes, then the object's."""
    return [*scratch_volumes(spec), *(_volume(volume) for volume in spec.volumes)]


def scratch_volumes(spec: HighConcurrencyApiSpec) -> list[Manifest]:
    """The pod's own volumes: what is in them is worth nothing to another pod."""
    return [{"name": OWN_VOLUME, "emptyDir": {"sizeLimit": TMP_SIZE}}, *heap_snapshots.volumes(spec)]


def mounts(spec: HighConcurrencyApiSpec) -> list[Manifest]:
    """The pod's own folders, then the object's."""
    own = {"name": OWN_VOLUME, "mountPath": OWN_PATH}
    theirs = (mount.model_dump(by_alias=True, exclude_defaults=True) for mount in spec.volume_mounts)
    return [own, *heap_snapshots.mounts(spec), *theirs]


def _volume(volume: Volume) -> Manifest:
    manifest = volume.model_dump(by_alias=True, exclude_defaults=True)
    if volume.empty_dir is not None:
        # In canonical form: the same size in other words is the same pod.
        manifest["emptyDir"]["sizeLimit"] = memory_text(parse_quantity(volume.empty_dir.size_limit))
    return manifest
