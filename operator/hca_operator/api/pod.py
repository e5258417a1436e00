"""One pod: its resources, workers, probes, memory, security and tolerations."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from hca_operator.api.environment import LocalObject
from hca_operator.api.heap_snapshots import HeapSnapshots
from hca_operator.api.schema import ListMap, Rule, SpecModel, without_nulls
from hca_operator.api.servers import ApplicationServer, Placement
from hca_operator.api.types import (
    Cpu,
    HttpPath,
    IntervalDuration,
    LabelKey,
    LabelValue,
    Memory,
    SampleDuration,
    StartupDuration,
)
from hca_operator.core.quantities import parse_quantity


class Requests(SpecModel):
    """What the scheduler reserves for a pod."""

    cpu: Cpu | None = None
    """CPU that the scheduler reserves for a pod. Default: the limit; 250m where limits.cpu is absent, too."""
    memory: Memory | None = None
    """Memory that the scheduler reserves for a pod. Default: the limit."""


class Limits(SpecModel):
    """What a pod may use at most."""

    cpu: Cpu | None = None
    """Maximum CPU of a pod. It sets the number of workers. Default: 1 where requests.cpu is absent, too; otherwise no \
limit, and requests.cpu sets the number."""
    memory: Memory = "512Mi"
    """Maximum memory of a pod. All its workers share it; each gets an equal part as its budget."""


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


_DEFAULT_CPU = {"requests": "250m", "limits": "1"}


class Resources(SpecModel):
    """CPU and memory of each pod."""

    requests: Requests = Requests()
    """Resources that the scheduler reserves for each pod."""
    limits: Limits = Limits()
    """Maximum resources of each pod."""

    rules = (
        _request_at_most_limit("cpu"),
        _request_at_most_limit("memory"),
    )

    @model_validator(mode="before")
    @classmethod
    def _cpu_is_never_open(cls, data: Any) -> Any:  # noqa: ANN401 - whatever was stored
        """Without any CPU, an autoscaler on CPU has no request to compare with: what sets only memory keeps both.

        Not a default of the schema: there it would add a request to a limit, which is to be the request.
        """
        if not isinstance(data, dict):
            return data
        given = without_nulls(data)
        parts = {name: without_nulls(given.get(name, {})) for name in _DEFAULT_CPU}
        if any(not isinstance(part, dict) or "cpu" in part for part in parts.values()):
            return data
        return data | {name: {**part, "cpu": _DEFAULT_CPU[name]} for name, part in parts.items()}


class Workers(SpecModel):
    """The worker processes of one pod."""

    count: Annotated[int, Field(ge=1, le=64)] | None = None
    """Number of workers per pod (placement Shared) or number of equal parts of resources (OnePerPod). Default: one \
per whole CPU of resources.limits.cpu, or of requests.cpu without a limit, and at least one. status.workersPerPod \
shows the result."""
    server: ApplicationServer = "Granian"
    """Application server that the image starts: Granian, Gunicorn, Uvicorn, Node (a Node.js program) or Generic (any \
other). It determines how the number of workers, memory limits and timeouts reach the process (docs/servers.md)."""
    placement: Placement = "Shared"
    """Shared: each pod runs all workers. OnePerPod: each pod runs one worker with one part of resources. replicas, \
minReplicas and maxReplicas always count pods."""


class Health(SpecModel):
    """How Kubernetes learns whether a pod can serve."""

    readiness_path: HttpPath = "/health"
    """Path of the readiness probe. While it answers anything but 2xx or 3xx, the pod gets no requests."""
    liveness_path: HttpPath | None = None
    """Path of the liveness probe. When it answers anything but 2xx or 3xx, the container is restarted. Default: a TCP \
check of the port, so that a database outage does not restart every pod."""
    startup_timeout: StartupDuration = "60s"
    """Time that a container may take to start before it is restarted, such as 60s or 5m."""
    period_seconds: Annotated[int, Field(ge=1, le=300)] = 5
    """Seconds between two probes."""
    timeout_seconds: Annotated[int, Field(ge=1, le=60)] = 3
    """Seconds after which a probe without an answer fails."""
    failure_threshold: Annotated[int, Field(ge=1, le=100)] = 3
    """Consecutive failures after which a pod gets no more requests (readiness) or is restarted (liveness)."""


class WorkerMemory(SpecModel):
    """Threshold of a single worker."""

    threshold_percent: Annotated[int, Field(ge=10, le=100)] = 80
    """Percentage of a worker's budget at which it is replaced. The budget is limits.memory minus the share of the \
supervisor process, divided by the number of workers."""
    max_rss: Memory | None = Field(default=None, alias="maxRSS")
    """Resident memory at which a worker is replaced. It takes precedence over thresholdPercent."""


class PodMemory(SpecModel):
    """When a whole pod is replaced."""

    threshold_percent: Annotated[int, Field(ge=10, le=100)] = 90
    """Percentage of limits.memory at which a pod is replaced. Its successor is ready before it terminates. A pod that \
grows so fast that it would reach its limit before a successor is ready is replaced earlier."""


class MemoryRestart(SpecModel):
    """Restart on memory: a worker, then a pod, that grows too large is replaced before the kernel kills it."""

    mode: Literal["Enabled", "Disabled"] = "Enabled"
    """Enabled: workers and pods that grow too large are replaced. Disabled: only the kernel ends them, at the limit."""
    worker: WorkerMemory = WorkerMemory()
    """Threshold of a single worker."""
    pod: PodMemory = PodMemory()
    """Threshold of a whole pod, for growth that replacing workers does not cure."""
    sample_interval: SampleDuration = "10s"
    """Time between two samples of a worker's memory. The memory of pods is sampled every 15 seconds."""
    samples: Annotated[int, Field(ge=1, le=100)] = 3
    """Consecutive samples above the threshold after which a worker or pod is replaced. A short spike is ignored."""
    min_interval: IntervalDuration = "10m"
    """Minimum time between two replacements of pods."""
    heap_snapshots: HeapSnapshots = HeapSnapshots()
    """Heap snapshots of workers, to find out what grew."""


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
    """Name of the kernel parameter. Only network parameters that Kubernetes considers safe are allowed."""
    value: Annotated[str, StringConstraints(pattern=r"^[0-9]+([ ,-][0-9]+)*$", max_length=128)]
    """Value of the parameter: one number or several, as sysctl accepts it."""


Sysctls = Annotated[list[Sysctl], ListMap("name"), Field(max_length=10)]


class PodSecurity(SpecModel):
    """Under which rights the pods run."""

    profile: Literal["Restricted", "Baseline"] = "Restricted"
    """Pod Security Standard of the pods. Restricted: images that run as root are refused. Baseline: they may run."""
    run_as_user: Annotated[int, Field(ge=0, le=2147483647)] | None = None
    """User ID of the processes. Default: the one of the image."""
    fs_group: Annotated[int, Field(ge=0, le=2147483647)] | None = None
    """Group ID that owns the mounted volumes."""
    read_only_root_filesystem: bool = True
    """Whether the root filesystem of the container is read-only. /tmp is always writable."""
    sysctls: Sysctls = []  # noqa: RUF012 - frozen model
    """Kernel parameters (sysctls) of the pods. Pods do not start if the kernel refuses a value."""

    rules = (
        Rule(
            cel="self.profile != 'Restricted' || !has(self.runAsUser) || self.runAsUser != 0",
            message="runAsUser must not be 0 (root) in profile Restricted: choose another user, or profile: Baseline",
            check=lambda s: s.profile != "Restricted" or s.run_as_user != 0,
            field_path=".runAsUser",
        ),
    )


class Toleration(SpecModel):
    """A taint that the pods tolerate."""

    key: LabelKey | None = None
    """Key of the taint. Without a key, operator Exists tolerates every taint."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """Equal: key and value must match. Exists: the key must match, with any value."""
    value: LabelValue | None = None
    """Value of the taint, for operator Equal."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Effect of the taint. NoSchedule: keeps new pods away. PreferNoSchedule: keeps them away if possible. NoExecute: \
evicts running pods too. Default: all effects."""
    toleration_seconds: Annotated[int, Field(ge=0, le=2147483647)] | None = None
    """Seconds that a pod stays on a node with a NoExecute taint. Default: no limit."""

    rules = (
        Rule(
            cel="has(self.key) || self.?operator.orValue('Equal') == 'Exists'",
            message="operator must be Exists where key is absent",
            check=lambda t: t.key is not None or t.operator == "Exists",
            field_path=".operator",
        ),
        Rule(
            cel="self.?operator.orValue('Equal') != 'Exists' || !has(self.value)",
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
PullSecrets = Annotated[list[LocalObject], ListMap("name"), Field(max_length=8)]
Tolerations = Annotated[list[Toleration], Field(max_length=32)]
Arguments = Annotated[list[Annotated[str, StringConstraints(max_length=8192)]], Field(max_length=64)]
