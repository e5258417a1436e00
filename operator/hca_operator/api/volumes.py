"""Files that the pods get from outside of their image, and where.

Only volumes that the restricted Pod Security Standard allows and that stay within the namespace of the object.
"""

from typing import Annotated

from pydantic import Field, StringConstraints

from hca_operator.api.environment import KeyName, LocalObject
from hca_operator.api.schema import ListMap, Rule, SpecModel
from hca_operator.api.types import DnsLabel, DnsSubdomain, VolumeSize

OWN_VOLUME = "tmp"
OWN_PATH = "/tmp"  # noqa: S108 - a volume of the pod's own

# No step may be `.` or `..`, nor begin with two dots, which is how the kubelet names its own files in a volume.
_PATH_PART = r"\.?[A-Za-z0-9_@-][A-Za-z0-9_.@-]*"
RelativePath = Annotated[str, StringConstraints(pattern=f"^{_PATH_PART}(/{_PATH_PART})*$", max_length=512)]
MountPath = Annotated[str, StringConstraints(pattern=f"^(/{_PATH_PART})+$", max_length=512)]
FileMode = Annotated[int, Field(ge=0, le=0o777)]


class KeyFile(SpecModel):
    """One key as a file."""

    key: KeyName
    """Key whose value is the content of the file."""
    path: RelativePath
    """Path of the file within the volume."""
    mode: FileMode | None = None
    """Permissions of the file as a decimal number; 292 is 0444. Default: defaultMode."""


KeyFiles = Annotated[list[KeyFile], ListMap("path"), Field(max_length=64)]


class Files(SpecModel):
    """Keys as files."""

    items: KeyFiles = []  # noqa: RUF012 - frozen model
    """Keys to mount. Default: every key, as a file with the name of the key."""
    optional: bool | None = None
    """Whether pods may start if the object or the key does not exist."""


class NamedFiles(Files, LocalObject):
    """Keys of a ConfigMap or Secret as files."""


class ConfigMapVolume(NamedFiles):
    """A ConfigMap as a volume."""

    default_mode: FileMode | None = None
    """Permissions of the files as a decimal number. Default: 420, which is 0644."""


class SecretVolume(Files):
    """A Secret as a volume."""

    secret_name: DnsSubdomain
    """Name of the Secret, in the same namespace."""
    default_mode: FileMode | None = None
    """Permissions of the files as a decimal number. Default: 420, which is 0644."""


class Projection(SpecModel):
    """One of several sources of a volume."""

    config_map: NamedFiles | None = None
    """Keys of a ConfigMap."""
    secret: NamedFiles | None = None
    """Keys of a Secret."""

    rules = (
        Rule(
            cel="has(self.configMap) != has(self.secret)",
            message="must have exactly one of configMap and secret; for both, write two sources",
            check=lambda s: (s.config_map is None) != (s.secret is None),
        ),
    )


class ProjectedVolume(SpecModel):
    """Several ConfigMaps and Secrets in one directory."""

    sources: Annotated[list[Projection], Field(min_length=1, max_length=16)]
    """Sources of the files."""
    default_mode: FileMode | None = None
    """Permissions of the files as a decimal number. Default: 420, which is 0644."""


class EmptyDir(SpecModel):
    """An empty directory that is deleted with the pod."""

    size_limit: VolumeSize = "256Mi"
    """Maximum size. A pod that exceeds it is evicted."""


class Claim(SpecModel):
    """A PersistentVolumeClaim, whose data outlives the pods."""

    claim_name: DnsSubdomain
    """Name of the PersistentVolumeClaim. All pods share it: pods on several nodes need access mode ReadWriteMany."""
    read_only: bool = False
    """Whether the volume is read-only."""


class Volume(SpecModel):
    """Files for the container, under a name that volumeMounts uses."""

    name: DnsLabel
    """Name of the volume."""
    config_map: ConfigMapVolume | None = None
    """A ConfigMap as files."""
    secret: SecretVolume | None = None
    """A Secret as files."""
    projected: ProjectedVolume | None = None
    """Several ConfigMaps and Secrets in one directory."""
    empty_dir: EmptyDir | None = None
    """An empty directory that is deleted with the pod."""
    persistent_volume_claim: Claim | None = None
    """A PersistentVolumeClaim, whose data outlives the pods."""

    rules = (
        Rule(
            cel="[has(self.configMap), has(self.secret), has(self.projected), has(self.emptyDir), "
            "has(self.persistentVolumeClaim)].filter(x, x).size() == 1",
            message="must have exactly one of configMap, secret, projected, emptyDir and persistentVolumeClaim",
            check=lambda v: (
                [v.config_map, v.secret, v.projected, v.empty_dir, v.persistent_volume_claim].count(None) == 4
            ),
        ),
        Rule(
            cel=f"self.name != '{OWN_VOLUME}'",
            message=f"name must not be {OWN_VOLUME}, which is the pod's own volume at {OWN_PATH}: choose another",
            check=lambda v: v.name != OWN_VOLUME,
            field_path=".name",
        ),
    )


class VolumeMount(SpecModel):
    """Where the container finds a volume."""

    name: DnsLabel
    """Name of the volume."""
    mount_path: MountPath
    """Absolute path in the container, without a slash at the end."""
    sub_path: RelativePath | None = None
    """File or directory of the volume that is mounted, instead of all of it. Running pods never see updates of it."""
    read_only: bool = False
    """Whether the mount is read-only. Mounts of ConfigMaps and Secrets always are."""

    rules = (
        Rule(
            cel=f"self.mountPath != '{OWN_PATH}'",
            message=f"mountPath must not be {OWN_PATH}, where every pod has a writable folder of its own: "
            f"choose another path, such as {OWN_PATH}/cache",
            check=lambda m: m.mount_path != OWN_PATH,
            field_path=".mountPath",
        ),
    )


Volumes = Annotated[list[Volume], ListMap("name"), Field(max_length=16)]
VolumeMounts = Annotated[list[VolumeMount], ListMap("mount_path"), Field(max_length=32)]
