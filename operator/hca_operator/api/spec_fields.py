"""The fields of the object's spec. The rules between them stand in `hca_operator.api.rules`."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from hca_operator.api.monitoring import Monitoring
from hca_operator.api.pod import (
    Arguments,
    EnvFromList,
    EnvList,
    Health,
    Limits,
    MemoryRestart,
    PodSecurity,
    PullPolicy,
    PullSecrets,
    Requests,
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
    """What the user may write, field by field."""

    image: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$", min_length=1, max_length=512)]
    """Image of the API, such as registry.example.com/shop:1.4.2. The only required field."""
    image_pull_policy: PullPolicy | None = None
    """When the image is pulled. Absent: the default of the operator's install, else Always for the tag latest and \
IfNotPresent for every other."""
    image_pull_secrets: PullSecrets = []  # noqa: RUF012 - frozen model
    """Secrets for the image registry, in the same namespace."""
    command: Arguments | None = None
    """Command of the container. Absent: the image's."""
    args: Arguments | None = None
    """Arguments of the command. Absent: the image's."""
    env: EnvList = []  # noqa: RUF012 - frozen model
    """Environment variables, unique by name."""
    env_from: EnvFromList = []  # noqa: RUF012 - frozen model
    """ConfigMaps and Secrets whose keys become environment variables."""
    service_account_name: DnsSubdomain | None = None
    """Service account of the pods, in the same namespace. Absent: default, with no token mounted."""
    port: Port = 8000
    """Port on which the API listens."""
    replicas: Annotated[int, Field(ge=0, le=MAX_REPLICAS)] = 2
    """Number of pods while autoscaling.mode is Disabled."""
    resources: Resources = Resources(requests=Requests(cpu="250m"), limits=Limits(cpu="1", memory="512Mi"))
    """CPU and memory of one pod."""
    workers: Workers = Workers()
    """The worker processes of one pod: one for each CPU unless said otherwise."""
    health: Health = Health()
    """Probes."""
    memory_restart: MemoryRestart = MemoryRestart()
    """Replacement of workers and pods that grow too large."""
    restart_schedule: RestartSchedule | None = None
    """Rolling restarts by the clock, without a lost request. Absent: none."""
    autoscaling: Autoscaling = Autoscaling()
    """How the number of pods follows the load."""
    monitoring: Monitoring = Monitoring()
    """Where the API's own metrics are, for autoscaling on them."""
    service: Service = Service()
    """The Service in front of the pods."""
    traffic: Traffic = Traffic()
    """How requests come in from outside the cluster."""
    rollout: Rollout = Rollout()
    """How a change reaches the pods."""
    availability: Availability = Availability()
    """Disruptions and the end of pods."""
    pod_security: PodSecurity = PodSecurity()
    """Rights of the pods."""
    pod_labels: Labels = {}  # noqa: RUF012 - frozen model
    """Further labels of the pods."""
    pod_annotations: Annotations = {}  # noqa: RUF012 - frozen model
    """Further annotations of the pods."""
    node_selector: Labels = {}  # noqa: RUF012 - frozen model
    """Labels that a node must have."""
    tolerations: Tolerations = []  # noqa: RUF012 - frozen model
    """Taints that the pods put up with."""
    priority_class_name: DnsSubdomain | None = None
    """Priority class of the pods."""
    volumes: Volumes = []  # noqa: RUF012 - frozen model
    """Files from outside of the image, unique by name."""
    volume_mounts: VolumeMounts = []  # noqa: RUF012 - frozen model
    """Where the container finds them, unique by mountPath."""
    reconciliation: Literal["Active", "Paused"] = "Active"
    """Paused: the operator writes none of the child objects, but still reports their state."""
