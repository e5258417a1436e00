"""The fields of the object's spec. The rules between them stand in `hca_operator.api.rules`."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from hca_operator.api.environment import EnvFromList, EnvList
from hca_operator.api.monitoring import Monitoring
from hca_operator.api.pod import (
    Arguments,
    Health,
    MemoryRestart,
    PodSecurity,
    PullPolicy,
    PullSecrets,
    Resources,
    Tolerations,
    Workers,
)
from hca_operator.api.restart import RestartSchedule
from hca_operator.api.rollout import Rollout
from hca_operator.api.scaling import MAX_REPLICAS, Autoscaling, Availability
from hca_operator.api.schema import SpecModel
from hca_operator.api.traffic import Service, Traffic
from hca_operator.api.types import Annotations, DnsSubdomain, Labels, Port
from hca_operator.api.volumes import VolumeMounts, Volumes


class SpecFields(SpecModel):
    """Every field of the spec."""

    image: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$", min_length=1, max_length=512)]
    """Image of the API, such as registry.example.com/shop:1.4.2. The only required field."""
    image_pull_policy: PullPolicy | None = None
    """When the kubelet pulls the image. Always: each time a container starts. IfNotPresent: only if the node does not \
have it. Never: the node must have it. Default: the platform team's; without one, Always for the tag latest and \
IfNotPresent for all others."""
    image_pull_secrets: PullSecrets = []  # noqa: RUF012 - frozen model
    """Secrets for the image registry, in the same namespace."""
    command: Arguments | None = None
    """Command (entrypoint) of the container. Default: the one of the image."""
    args: Arguments | None = None
    """Arguments of the command. Default: those of the image."""
    env: EnvList = []  # noqa: RUF012 - frozen model
    """Environment variables of the container. Each name may occur once."""
    env_from: EnvFromList = []  # noqa: RUF012 - frozen model
    """ConfigMaps and Secrets whose keys become environment variables."""
    service_account_name: DnsSubdomain | None = None
    """ServiceAccount of the pods, in the same namespace. Default: the one named default, without its token."""
    port: Port = 8000
    """Port on which the API listens."""
    replicas: Annotated[int, Field(ge=0, le=MAX_REPLICAS)] = 2
    """Number of pods when autoscaling.mode is Disabled. Ignored when it is Horizontal."""
    resources: Resources = Resources()
    """CPU and memory of each pod."""
    workers: Workers = Workers()
    """Worker processes in each pod. Default: one per CPU of limits.cpu."""
    health: Health = Health()
    """Startup, readiness and liveness probes."""
    memory_restart: MemoryRestart = MemoryRestart()
    """Replaces workers and pods before they run out of memory."""
    restart_schedule: RestartSchedule | None = None
    """Rolling restarts on a schedule, without lost requests. Default: none."""
    autoscaling: Autoscaling = Autoscaling()
    """Scales the number of pods with the load."""
    monitoring: Monitoring = Monitoring()
    """Source of the metrics that autoscaling uses besides CPU and memory."""
    service: Service = Service()
    """The Service in front of the pods."""
    traffic: Traffic = Traffic()
    """Routes from outside the cluster."""
    rollout: Rollout = Rollout()
    """How changes are rolled out to the pods."""
    availability: Availability = Availability()
    """Behavior during node drains and when pods terminate."""
    pod_security: PodSecurity = PodSecurity()
    """Security settings of the pods."""
    pod_labels: Labels = {}  # noqa: RUF012 - frozen model
    """Additional labels of the pods."""
    pod_annotations: Annotations = {}  # noqa: RUF012 - frozen model
    """Additional annotations of the pods."""
    node_selector: Labels = {}  # noqa: RUF012 - frozen model
    """Labels that a node must have to run the pods."""
    tolerations: Tolerations = []  # noqa: RUF012 - frozen model
    """Taints of nodes that the pods tolerate."""
    priority_class_name: DnsSubdomain | None = None
    """PriorityClass of the pods."""
    volumes: Volumes = []  # noqa: RUF012 - frozen model
    """Volumes that the container can mount. Each name may occur once."""
    volume_mounts: VolumeMounts = []  # noqa: RUF012 - frozen model
    """Where volumes are mounted in the container. Each mountPath may occur once."""
    reconciliation: Literal["Active", "Paused"] = "Active"
    """Active: the operator creates and updates the child objects. Paused: it only reports status."""
