"""The parts of the object that describe one pod: its container, resources, workers, health and security."""

import re
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from hca_operator.api.heap_snapshots import HeapSnapshots
from hca_operator.api.schema import ListMap, Rule, SpecModel
from hca_operator.api.servers import Placement, Server
from hca_operator.api.types import (
    LABEL_KEY,
    Cpu,
    DnsSubdomain,
    HttpPath,
    IntervalDuration,
    LabelKey,
    LabelValue,
    Memory,
    SampleDuration,
    StartupDuration,
)
from hca_operator.core.quantities import parse_quantity

RESERVED_ENV: dict[str, str] = {
    "GRANIAN_HOST": "the operator's own: the server must listen on every address of the pod",
    "GRANIAN_PORT": "spec.port",
    "GRANIAN_WORKERS": "spec.workers.count",
    "GRANIAN_RESPAWN_FAILED_WORKERS": "the operator's own: a dead worker is always replaced",
    "GRANIAN_HTTP1_HEADER_READ_TIMEOUT": "the operator's own: matched with the balancers' keep-alive",
    "GRANIAN_WORKERS_KILL_TIMEOUT": "spec.availability.terminationGracePeriod",
    "GRANIAN_WORKERS_MAX_RSS": "spec.memoryRestart.worker",
    "GRANIAN_RSS_SAMPLE_INTERVAL": "spec.memoryRestart.sampleInterval",
    "GRANIAN_RSS_SAMPLES": "spec.memoryRestart.samples",
}
"""Variables that the operator sets, and the field that decides each."""

_FIELD_PATH = (
    r"metadata\.(name|namespace|uid)|metadata\.(labels|annotations)\['" + LABEL_KEY + r"'\]|"
    r"spec\.(nodeName|serviceAccountName)|status\.(podIP|podIPs|hostIP|hostIPs)"
)

EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$", max_length=256)]
KeyName = Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)]


class LocalObject(SpecModel):
    """A reference to an object in the same namespace."""

    name: DnsSubdomain
    """Name of the object, in the namespace of this one."""


class KeySelector(SpecModel):
    """One key of a ConfigMap or Secret."""

    name: DnsSubdomain
    """Name of the ConfigMap or Secret, in the same namespace."""
    key: KeyName
    """Key whose value is used."""
    optional: bool | None = None
    """Whether the pod may start without it."""


class FieldSelector(SpecModel):
    """A field of the pod itself."""

    field_path: Annotated[
        str,
        StringConstraints(max_length=512),
        Rule(
            cel=f'self.matches(r"^({_FIELD_PATH})$")',
            message="must be metadata.name, metadata.namespace, metadata.uid, metadata.labels['KEY'], "
            "metadata.annotations['KEY'], spec.nodeName, spec.serviceAccountName, status.podIP, status.podIPs, "
            "status.hostIP or status.hostIPs",
            check=lambda path: re.fullmatch(_FIELD_PATH, path) is not None,
        ),
    ]
    """Path of the field, such as metadata.name or status.podIP."""


class EnvSource(SpecModel):
    """Where the value of a variable comes from."""

    config_map_key_ref: KeySelector | None = None
    """A key of a ConfigMap."""
    secret_key_ref: KeySelector | None = None
    """A key of a Secret."""
    field_ref: FieldSelector | None = None
    """A field of the pod."""

    rules = (
        Rule(
            cel="[has(self.configMapKeyRef), has(self.secretKeyRef), has(self.fieldRef)].filter(x, x).size() == 1",
            message="must have exactly one of configMapKeyRef, secretKeyRef and fieldRef",
            check=lambda s: [s.config_map_key_ref, s.secret_key_ref, s.field_ref].count(None) == 2,
        ),
    )


class EnvVar(SpecModel):
    """An environment variable of the container."""

    name: EnvName
    """Name of the variable."""
    value: Annotated[str, StringConstraints(max_length=32768)] | None = None
    """Its value."""
    value_from: EnvSource | None = None
    """Where its value comes from instead."""

    rules = (
        Rule(
            cel="!(has(self.value) && has(self.valueFrom))",
            message="must have either value or valueFrom, not both",
            check=lambda e: e.value is None or e.value_from is None,
        ),
        Rule(
            cel=f"!(self.name in [{', '.join(repr(name) for name in RESERVED_ENV)}])",
            message="is set by the operator: use spec.port, spec.workers, spec.memoryRestart or "
            "spec.availability.terminationGracePeriod instead",
            check=lambda e: e.name not in RESERVED_ENV,
            field_path=".name",
        ),
    )


class EnvFromSource(SpecModel):
    """All keys of a ConfigMap or Secret as environment variables."""

    prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$", max_length=128)] | None = None
    """Put before each key."""
    config_map_ref: LocalObject | None = None
    """The ConfigMap."""
    secret_ref: LocalObject | None = None
    """The Secret."""

    rules = (
        Rule(
            cel="has(self.configMapRef) != has(self.secretRef)",
            message="must have exactly one of configMapRef and secretRef",
            check=lambda s: (s.config_map_ref is None) != (s.secret_ref is None),
        ),
    )


class Requests(SpecModel):
    """What the scheduler reserves for a pod."""

    cpu: Cpu | None = None
    """Cores that are always there. Absent: the limit."""
    memory: Memory | None = None
    """Memory that is always there. Absent: the limit."""


class Limits(SpecModel):
    """What a pod may use at most."""

    cpu: Cpu | None = None
    """Cores at most; decides how many workers a pod has. Absent: no limit, and the request decides."""
    memory: Memory = "512Mi"
    """Memory at most, shared by all workers of the pod; the budget of each worker comes from it."""


def _request_at_most_limit(name: str) -> Rule:
    def check(resources: "Resources") -> bool:
        request, limit = getattr(resources.requests, name), getattr(resources.limits, name)
        return request is None or limit is None or parse_quantity(request) <= parse_quantity(limit)

    return Rule(
        cel=f"!has(self.requests.{name}) || !has(self.limits.{name}) || "
        f"quantity(string(self.requests.{name})).compareTo(quantity(string(self.limits.{name}))) <= 0",
        message=f"requests.{name} must not be greater than limits.{name}",
        check=check,
        field_path=f".requests.{name}",
    )


class Resources(SpecModel):
    """CPU and memory of one pod."""

    requests: Requests = Requests()
    """What the scheduler reserves."""
    limits: Limits = Limits()
    """What the pod may use at most."""

    rules = (
        _request_at_most_limit("cpu"),
        _request_at_most_limit("memory"),
    )


class Workers(SpecModel):
    """The worker processes of one pod."""

    count: Annotated[int, Field(ge=1, le=64)] | None = None
    """Worker processes in each pod (placement Shared), or shares of resources (OnePerPod). Absent: one for each whole \
CPU of resources.limits.cpu (else requests.cpu), at least one; status.workersPerPod shows the result."""
    server: Server = "Granian"
    """The application server, which decides how count, memory and time-outs reach the process (docs/servers.md)."""
    placement: Placement = "Shared"
    """Shared: every pod has all workers. OnePerPod: every pod has one, and one of as many equal shares of resources; \
replicas, minReplicas and maxReplicas count pods all the same."""


class Health(SpecModel):
    """How Kubernetes learns whether a pod can serve."""

    readiness_path: HttpPath = "/health"
    """Answers 2xx or 3xx while the pod can serve; otherwise it gets no requests."""
    liveness_path: HttpPath | None = None
    """Answers 2xx or 3xx while the pod is alive; otherwise it is restarted. Absent: the port must accept connections, \
so that a database that is down does not restart every pod."""
    startup_timeout: StartupDuration = "60s"
    """How long a pod may take to start before it is restarted."""
    period_seconds: Annotated[int, Field(ge=1, le=300)] = 5
    """Seconds between two checks."""
    timeout_seconds: Annotated[int, Field(ge=1, le=60)] = 3
    """Seconds after which an unanswered check has failed."""
    failure_threshold: Annotated[int, Field(ge=1, le=100)] = 3
    """Failed checks in a row until a pod is taken out of service (readiness) or restarted (liveness)."""


class WorkerMemory(SpecModel):
    """When a single worker is replaced."""

    threshold_percent: Annotated[int, Field(ge=10, le=100)] = 80
    """Percentage of the worker's budget, which is limits.memory less the supervisor's share, divided by the workers."""
    max_rss: Memory | None = Field(default=None, alias="maxRSS")
    """Resident memory of a worker at which it is replaced, instead of a percentage."""


class PodMemory(SpecModel):
    """When a whole pod is replaced."""

    threshold_percent: Annotated[int, Field(ge=10, le=100)] = 90
    """Percentage of limits.memory at which a pod is replaced by a new one that serves before the old one goes. A pod \
that grows so fast that it would be at the limit before a new one serves is replaced earlier."""


class MemoryRestart(SpecModel):
    """Restart on memory: a worker, then a pod, that grows too large is replaced before the kernel kills it."""

    mode: Literal["Enabled", "Disabled"] = "Enabled"
    """Whether workers and pods are replaced on memory."""
    worker: WorkerMemory = WorkerMemory()
    """When a single worker is replaced."""
    pod: PodMemory = PodMemory()
    """When a whole pod is replaced, which is for what the replacement of workers does not cure."""
    sample_interval: SampleDuration = "10s"
    """Time between two samples of a worker's memory. That of pods is read each 15 seconds."""
    samples: Annotated[int, Field(ge=1, le=100)] = 3
    """Samples in a row over the threshold until the worker or the pod is replaced, so that a spike is forgiven."""
    min_interval: IntervalDuration = "10m"
    """Time at least between two replacements of pods."""
    heap_snapshots: HeapSnapshots = HeapSnapshots()
    """What grew, to be looked at afterwards."""


class Sysctl(SpecModel):
    """A parameter of the kernel, of the pod's own network."""

    name: Literal[
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    ]
    """One of those that Kubernetes lets every pod set, of its network."""
    value: Annotated[str, StringConstraints(pattern=r"^[0-9]+([ ,-][0-9]+)*$", max_length=128)]
    """Its value, as sysctl takes it: a number, or some of them."""


Sysctls = Annotated[list[Sysctl], ListMap("name"), Field(max_length=10)]


class PodSecurity(SpecModel):
    """Under which rights the pods run."""

    profile: Literal["Restricted", "Baseline"] = "Restricted"
    """The Pod Security Standard that the pods keep. Restricted refuses images that run as root."""
    run_as_user: Annotated[int, Field(ge=0, le=2147483647)] | None = None
    """User id of the processes. Absent: the image's."""
    fs_group: Annotated[int, Field(ge=0, le=2147483647)] | None = None
    """Group id that owns mounted volumes."""
    read_only_root_filesystem: bool = True
    """Whether the image's files are read-only; /tmp is always writable."""
    sysctls: Sysctls = []  # noqa: RUF012 - frozen model
    """Parameters of the kernel, unique by name. A value that the kernel refuses keeps the pods from starting."""

    rules = (
        Rule(
            cel="self.profile != 'Restricted' || !has(self.runAsUser) || self.runAsUser != 0",
            message="runAsUser must not be 0 (root) in profile Restricted: choose another user, or profile: Baseline",
            check=lambda s: s.profile != "Restricted" or s.run_as_user != 0,
            field_path=".runAsUser",
        ),
    )


class Toleration(SpecModel):
    """A taint that the pods put up with."""

    key: LabelKey | None = None
    """Key of the taint. Absent with operator Exists: every taint."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """How the value is compared."""
    value: LabelValue | None = None
    """Value of the taint, with operator Equal."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Effect of the taint. Absent: every effect."""
    toleration_seconds: Annotated[int, Field(ge=0, le=2147483647)] | None = None
    """Seconds to stay on a node with a NoExecute taint. Absent: for ever."""

    rules = (
        Rule(
            cel="has(self.key) || self.operator == 'Exists'",
            message="operator must be Exists where key is absent",
            check=lambda t: t.key is not None or t.operator == "Exists",
            field_path=".operator",
        ),
        Rule(
            cel="self.operator != 'Exists' || !has(self.value)",
            message="value must be absent with operator Exists",
            check=lambda t: t.operator != "Exists" or t.value is None,
            field_path=".value",
        ),
        Rule(
            cel="!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            message="tolerationSeconds needs effect NoExecute",
            check=lambda t: t.toleration_seconds is None or t.effect == "NoExecute",
            field_path=".tolerationSeconds",
        ),
    )


PullPolicy = Literal["Always", "IfNotPresent", "Never"]
EnvList = Annotated[list[EnvVar], ListMap("name"), Field(max_length=128)]
EnvFromList = Annotated[list[EnvFromSource], Field(max_length=16)]
PullSecrets = Annotated[list[LocalObject], ListMap("name"), Field(max_length=8)]
Tolerations = Annotated[list[Toleration], Field(max_length=32)]
Arguments = Annotated[list[Annotated[str, StringConstraints(max_length=8192)]], Field(max_length=64)]
