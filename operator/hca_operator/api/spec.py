"""The object as users write it. The CRD is generated from these models (`hca_operator.api.crd`)."""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from hca_operator.api.heap_snapshots import HEAP_SNAPSHOT_RULES
from hca_operator.api.monitoring import MONITORING_RULES, Monitoring
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
from hca_operator.api.schema import Rule, SpecModel
from hca_operator.api.servers import SERVER_RULES
from hca_operator.api.traffic import Service, Traffic
from hca_operator.api.types import Annotations, DnsSubdomain, Labels, Port
from hca_operator.api.volumes import VolumeMounts, Volumes
from hca_operator.core.errors import SpecError
from hca_operator.core.names import MAX_NAME_LENGTH
from hca_operator.core.quantities import parse_quantity

_NAME = "[a-z]([-a-z0-9]*[a-z0-9])?"
NAME_RULE = Rule(
    cel=f"self.metadata.name.size() <= {MAX_NAME_LENGTH} && self.metadata.name.matches('^{_NAME}$')",
    message=f"metadata.name must be at most {MAX_NAME_LENGTH} characters: "
    "lower-case letters, digits and '-', starting with a letter (it names the Service too)",
    check=lambda name: isinstance(name, str) and len(name) <= MAX_NAME_LENGTH and bool(re.fullmatch(_NAME, name)),
)


def _worker_threshold_fits(spec: "HighConcurrencyApiSpec") -> bool:
    rss = spec.memory_restart.worker.max_rss
    return rss is None or parse_quantity(rss) < parse_quantity(spec.resources.limits.memory)


def _mounts_name_volumes(spec: "HighConcurrencyApiSpec") -> bool:
    return {mount.name for mount in spec.volume_mounts} <= {volume.name for volume in spec.volumes}


class HighConcurrencyApiSpec(SpecModel):
    """What the user wants."""

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

    rules = (
        Rule(
            cel="self.autoscaling.mode == 'Disabled' || oldSelf.autoscaling.mode == 'Disabled' || "
            "self.replicas == oldSelf.replicas",
            message="replicas has no effect while autoscaling.mode is Horizontal: "
            "change autoscaling.minReplicas, or set autoscaling.mode: Disabled",
            check=None,
            field_path=".replicas",
        ),
        Rule(
            cel="!has(self.memoryRestart.worker.maxRSS) || quantity(string(self.memoryRestart.worker.maxRSS))"
            ".compareTo(quantity(string(self.resources.limits.memory))) < 0",
            message="memoryRestart.worker.maxRSS must be less than resources.limits.memory, "
            "or the kernel kills the worker first",
            check=_worker_threshold_fits,
            field_path=".memoryRestart.worker.maxRSS",
        ),
        *SERVER_RULES,
        *MONITORING_RULES,
        *HEAP_SNAPSHOT_RULES,
        Rule(
            cel="!has(self.volumeMounts) || self.volumeMounts.all(m, has(self.volumes) && "
            "self.volumes.exists(v, v.name == m.name))",
            message="volumeMounts must each name one of spec.volumes: add the volume, or correct the name",
            check=_mounts_name_volumes,
            field_path=".volumeMounts",
        ),
    )


class ApiObject(BaseModel):
    """A stored HighConcurrencyApi as far as the operator reads it."""

    model_config = ConfigDict(frozen=True)

    name: str
    namespace: str
    uid: str
    generation: int
    annotations: dict[str, str]
    spec: HighConcurrencyApiSpec


def parse_object(manifest: dict[str, Any], *, unknown_fields: Literal["ignore", "forbid"] = "ignore") -> ApiObject:
    """The typed object of a manifest from the API server.

    Raises SpecError, naming each field, where the object was stored before a rule existed that it breaks.
    """
    metadata = manifest["metadata"]
    try:
        NAME_RULE.enforce(metadata["name"])
        spec = HighConcurrencyApiSpec.model_validate(
            manifest.get("spec", {}), extra=unknown_fields, by_alias=True, by_name=False
        )
    except ValidationError as error:
        raise SpecError(describe(error, "spec")) from None
    except ValueError as error:
        raise SpecError(str(error)) from None
    return ApiObject(
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=metadata["uid"],
        generation=metadata.get("generation", 0),
        annotations=metadata.get("annotations") or {},
        spec=spec,
    )


def describe(error: ValidationError, root: str) -> str:
    """One sentence a field: where it is, from `root` on, and what is wrong with it."""
    parts = []
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        path = ".".join([root, *(str(step) for step in problem["loc"])])
        unknown = problem["type"] == "extra_forbidden"
        said = "unknown field, misspelt or in the wrong place" if unknown else problem["msg"]
        parts.append(f"{path}: {said.removeprefix('Value error, ')}")
    return "; ".join(parts)
