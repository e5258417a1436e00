"""The rules between fields of different parts of the object, with their CEL and their Python side by side.

A rule that concerns one part alone stands in that part's own model.
"""

from hca_operator.api.heap_snapshots import ENV, PATH, VOLUME
from hca_operator.api.schema import Rule
from hca_operator.api.servers import OPTIONS_ENV, RESERVED_ENV, ApplicationServer
from hca_operator.api.spec_fields import SpecFields
from hca_operator.core.quantities import parse_quantity

REPLICAS_RULE = Rule(
    cel="self.autoscaling.mode == 'Disabled' || oldSelf.autoscaling.mode == 'Disabled' || "
    "self.replicas == oldSelf.replicas",
    message="replicas has no effect while autoscaling.mode is Horizontal: "
    "change autoscaling.minReplicas, or set autoscaling.mode: Disabled",
    check=None,
    field_path=".replicas",
)


def _max_rss_below_limit(spec: SpecFields) -> bool:
    rss = spec.memory_restart.worker.max_rss
    return rss is None or parse_quantity(rss) < parse_quantity(spec.resources.limits.memory)


MEMORY_RULE = Rule(
    cel="!has(self.memoryRestart.worker.maxRSS) || quantity(string(self.memoryRestart.worker.maxRSS))"
    ".compareTo(quantity(string(self.resources.limits.memory))) < 0",
    message="memoryRestart.worker.maxRSS must be less than resources.limits.memory, "
    "or the kernel kills the worker first",
    check=_max_rss_below_limit,
    field_path=".memoryRestart.worker.maxRSS",
)


def _env_is_not_reserved(spec: SpecFields) -> bool:
    return not any(variable.name in RESERVED_ENV[spec.workers.server] for variable in spec.env)


def _options_have_a_value(spec: SpecFields) -> bool:
    options = OPTIONS_ENV.get(spec.workers.server)
    return not any(variable.name == options and variable.value_from is not None for variable in spec.env)


def _cel_map(entries: dict[ApplicationServer, str]) -> str:
    return "{" + ", ".join(f"'{server}': {value}" for server, value in entries.items()) + "}"


_RESERVED = _cel_map({server: str(list(names)) for server, names in RESERVED_ENV.items() if names})
_OPTIONS = _cel_map({server: repr(name) for server, name in OPTIONS_ENV.items()})

SERVER_RULES = (
    Rule(
        cel=f"!has(self.env) || !(self.workers.server in {_RESERVED}) || "
        f"self.env.all(e, !(e.name in {_RESERVED}[self.workers.server]))",
        message="env has a variable that the operator sets for this workers.server: use port, workers.count, "
        "memoryRestart or availability.terminationGracePeriod instead of PORT, WEB_CONCURRENCY, HCA_WORKERS, "
        "HCA_WORKER_MAX_RSS, HCA_WORKER_KILL_TIMEOUT and their like",
        check=_env_is_not_reserved,
        field_path=".env",
    ),
    Rule(
        cel=f"!has(self.env) || !(self.workers.server in {_OPTIONS}) || "
        f"self.env.all(e, e.name != {_OPTIONS}[self.workers.server] || !has(e.valueFrom))",
        message="GUNICORN_CMD_ARGS and NODE_OPTIONS must have value instead of valueFrom, for the operator's options "
        "are put before it: name the source in a variable before it, and write $(THAT_VARIABLE)",
        check=_options_have_a_value,
        field_path=".env",
    ),
)

MONITORING_RULES = (
    Rule(
        cel="self.monitoring.source == 'App' || (has(self.traffic.routes) && self.traffic.routes.size() > 0)",
        message="monitoring.source Ingress counts what traffic.routes bring in: add a route, or set "
        "monitoring.source: App",
        check=lambda spec: spec.monitoring.source == "App" or bool(spec.traffic.routes),
        field_path=".monitoring.source",
    ),
    Rule(
        cel="self.monitoring.source == 'App' || !has(self.autoscaling.metrics) || "
        "self.autoscaling.metrics.all(m, m.type != 'EventLoopLag')",
        message="monitoring.source Ingress knows nothing of the app's event loops: remove the metric of type "
        "EventLoopLag, or set monitoring.source: App",
        check=lambda spec: (
            spec.monitoring.source == "App" or all(m.type != "EventLoopLag" for m in spec.autoscaling.metrics)
        ),
        field_path=".monitoring.source",
    ),
)


def _snapshots(spec: SpecFields) -> bool:
    return spec.memory_restart.heap_snapshots.enabled


_OFF = "self.memoryRestart.heapSnapshots.mode == 'Disabled'"
HEAP_SNAPSHOT_RULES = (
    Rule(
        cel=f"{_OFF} || !has(self.volumes) || self.volumes.all(v, v.name != '{VOLUME}')",
        message=f"volumes must have no {VOLUME} while memoryRestart.heapSnapshots.mode is Enabled, "
        "which brings a volume of this name: choose another",
        check=lambda spec: not _snapshots(spec) or all(volume.name != VOLUME for volume in spec.volumes),
        field_path=".volumes",
    ),
    Rule(
        cel=f"{_OFF} || !has(self.volumeMounts) || self.volumeMounts.all(m, m.mountPath != '{PATH}')",
        message=f"volumeMounts must have none at {PATH} while memoryRestart.heapSnapshots.mode is Enabled, "
        "which has the snapshots there: choose another path",
        check=lambda spec: not _snapshots(spec) or all(mount.mount_path != PATH for mount in spec.volume_mounts),
        field_path=".volumeMounts",
    ),
    Rule(
        cel=f"{_OFF} || !has(self.env) || self.env.all(e, !(e.name in {list(ENV)}))",
        message=f"env must not have {', '.join(ENV[:-1])} or {ENV[-1]} "
        "while memoryRestart.heapSnapshots.mode is Enabled: "
        "use memoryRestart.heapSnapshots.sizeLimit and memoryRestart.worker",
        check=lambda spec: not _snapshots(spec) or all(variable.name not in ENV for variable in spec.env),
        field_path=".env",
    ),
)


def _mounts_name_volumes(spec: SpecFields) -> bool:
    return {mount.name for mount in spec.volume_mounts} <= {volume.name for volume in spec.volumes}


MOUNTS_RULE = Rule(
    cel="!has(self.volumeMounts) || self.volumeMounts.all(m, has(self.volumes) && "
    "self.volumes.exists(v, v.name == m.name))",
    message="volumeMounts must each name one of spec.volumes: add the volume, or correct the name",
    check=_mounts_name_volumes,
    field_path=".volumeMounts",
)

SPEC_RULES: tuple[Rule, ...] = (
    REPLICAS_RULE,
    MEMORY_RULE,
    *SERVER_RULES,
    *MONITORING_RULES,
    *HEAP_SNAPSHOT_RULES,
    MOUNTS_RULE,
)
"""Every rule of the spec, in the order in which the CRD lists them."""
