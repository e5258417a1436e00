"""Every rule of the models, with the sentence that a user reads; tests/controlplane compares with the API server."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from hca_operator.api.crd import crd
from hca_operator.api.schema import Rule
from hca_operator.api.spec import HighConcurrencyApiSpec, parse_object
from hca_operator.core.errors import SpecError
from tests.unit.operator.objects import IMAGE, manifest, resources

ROUTE = {"host": "shop.example.com"}
REPEATED = {"traffic": {"routes": [ROUTE, {**ROUTE, "path": "/"}]}}
HEAP_SNAPSHOTS = {"memoryRestart": {"heapSnapshots": {"mode": "Enabled"}}}
CACHE = {"name": "cache", "emptyDir": {}}
LATENCY = {"name": "m", "type": "Latency", "latency": {"target": "250ms"}}
NO_WORKER_SECRET = {"name": "shop", "key": "password"}
CPU = "must be a CPU quantity from 1m to 256, such as 250m, 1500m or 2"
MEMORY = "must be a memory quantity from 32Mi to 4Ti, such as 512Mi or 2Gi"
LABEL_KEYS = "keys must be Kubernetes label keys such as team or example.com/team; hca-operator.io/ is the operator's"

QUEUE = {"name": "queue", "type": "Prometheus"}
BROKEN: list[tuple[dict[str, Any], str, str]] = [
    (resources("0"), "spec.resources.limits.cpu", CPU),
    (resources("INVALID"), "spec.resources.limits.cpu", CPU),
    (resources("257"), "spec.resources.limits.cpu", CPU),
    (resources(True), "spec.resources.limits.cpu", "must be a string or an integer"),
    (resources("1", 512), "spec.resources.limits.memory", f"{MEMORY}; '512m' means half a byte and '512' means 512"),
    (resources("1", "512m"), "spec.resources.limits.memory", "did you mean 512Mi?"),
    (resources("1", cpu="1001m"), "spec.resources", "requests.cpu must not be greater than limits.cpu"),
    (resources(memory="1Gi"), "spec.resources", "requests.memory must not be greater than limits.memory"),
    ({"health": {"startupTimeout": "0s"}}, "spec.health.startupTimeout", "must be a duration from 1s to 1h"),
    (
        {"availability": {"terminationGracePeriod": "4s"}},
        "spec.availability.terminationGracePeriod",
        "must be a duration from 5s to 1h",
    ),
    (
        {"memoryRestart": {"sampleInterval": "6m"}},
        "spec.memoryRestart.sampleInterval",
        "must be a duration from 1s to 5m",
    ),
    ({"memoryRestart": {"minInterval": "59s"}}, "spec.memoryRestart.minInterval", "must be a duration from 1m to 24h"),
    ({"restartSchedule": {"cron": "0 3 * * FRI-MON"}}, "spec.restartSchedule.cron", "must be five fields, minute hour"),
    ({"podLabels": {"hca-operator.io/api": "x"}}, "spec.podLabels", LABEL_KEYS),
    ({"podAnnotations": {"not a key": "x"}}, "spec.podAnnotations", LABEL_KEYS),
    ({"nodeSelector": {"": "x"}}, "spec.nodeSelector", LABEL_KEYS),
    (
        {"env": [{"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]},
        "spec.env.0",
        "must have either value or valueFrom, not both",
    ),
    ({"env": [{"name": "GRANIAN_WORKERS", "value": "9"}]}, "spec.env.0", "is set by the operator: use spec.port"),
    ({"env": [{"name": "A"}, {"name": "A"}]}, "spec.env", "name 'A' occurs more than once"),
    (
        {"env": [{"name": "A", "valueFrom": {}}]},
        "spec.env.0.valueFrom",
        "must have exactly one of configMapKeyRef, secretKeyRef and fieldRef",
    ),
    (
        {"env": [{"name": "A", "valueFrom": {"secretKeyRef": NO_WORKER_SECRET, "configMapKeyRef": NO_WORKER_SECRET}}]},
        "spec.env.0.valueFrom",
        "must have exactly one of configMapKeyRef, secretKeyRef and fieldRef",
    ),
    (
        {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels"}}}]},
        "spec.env.0.valueFrom.fieldRef.fieldPath",
        "must be metadata.name, metadata.namespace, metadata.uid, metadata.labels['KEY']",
    ),
    ({"envFrom": [{"prefix": "A_"}]}, "spec.envFrom.0", "must have exactly one of configMapRef and secretRef"),
    (
        {"volumes": [{"name": "a"}]},
        "spec.volumes.0",
        "must have exactly one of configMap, secret, projected, emptyDir and persistentVolumeClaim",
    ),
    (
        {"volumes": [{"name": "a", "emptyDir": {}, "configMap": {"name": "shop"}}]},
        "spec.volumes.0",
        "must have exactly one of configMap, secret, projected, emptyDir and persistentVolumeClaim",
    ),
    (
        {"volumes": [{"name": "tmp", "emptyDir": {}}]},
        "spec.volumes.0",
        "name must not be tmp, which is the pod's own volume at /tmp: choose another",
    ),
    ({"volumes": [CACHE, CACHE]}, "spec.volumes", "name 'cache' occurs more than once"),
    (
        {"volumes": [{"name": "cache", "emptyDir": {"sizeLimit": "512m"}}]},
        "spec.volumes.0.emptyDir.sizeLimit",
        "must be a size from 1Mi to 4Ti, such as 64Mi or 1Gi",
    ),
    (
        {"volumes": [{"name": "a", "projected": {"sources": [{}]}}]},
        "spec.volumes.0.projected.sources.0",
        "must have exactly one of configMap and secret; for both, write two sources",
    ),
    (
        {"volumes": [CACHE], "volumeMounts": [{"name": "cash", "mountPath": "/cache"}]},
        "spec",
        "volumeMounts must each name one of spec.volumes: add the volume, or correct the name",
    ),
    (
        {"volumes": [CACHE], "volumeMounts": [{"name": "cache", "mountPath": "/cache"}] * 2},
        "spec.volumeMounts",
        "mountPath '/cache' occurs more than once",
    ),
    (
        {"volumes": [CACHE], "volumeMounts": [{"name": "cache", "mountPath": "/tmp"}]},
        "spec.volumeMounts.0",
        "mountPath must not be /tmp, where every pod has a writable folder of its own: choose another path, such as",
    ),
    (
        {"memoryRestart": {"heapSnapshots": {"mode": "Enabled", "sizeLimit": "1Mi"}}},
        "spec.memoryRestart.heapSnapshots.sizeLimit",
        "must be a size from 64Mi to 4Ti, such as 512Mi or 1Gi",
    ),
    (
        {**HEAP_SNAPSHOTS, "volumes": [{"name": "heap-snapshots", "emptyDir": {}}]},
        "spec",
        "volumes must have no heap-snapshots while memoryRestart.heapSnapshots.mode is Enabled, which brings a volume",
    ),
    (
        {**HEAP_SNAPSHOTS, "volumes": [CACHE], "volumeMounts": [{"name": "cache", "mountPath": "/heap-snapshots"}]},
        "spec",
        "volumeMounts must have none at /heap-snapshots while memoryRestart.heapSnapshots.mode is Enabled, which has",
    ),
    (
        {**HEAP_SNAPSHOTS, "env": [{"name": "HCA_WORKER_MAX_RSS", "value": "1"}]},
        "spec",
        "env must not have HCA_SNAPSHOT_DIR, HCA_SNAPSHOT_MAX_SIZE or HCA_WORKER_MAX_RSS while memoryRestart",
    ),
    (
        {"podSecurity": {"runAsUser": 0}},
        "spec.podSecurity",
        "runAsUser must not be 0 (root) in profile Restricted: choose another user, or profile: Baseline",
    ),
    ({"tolerations": [{}]}, "spec.tolerations.0", "operator must be Exists where key is absent"),
    (
        {"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]},
        "spec.tolerations.0",
        "value must be absent with operator Exists",
    ),
    (
        {"tolerations": [{"key": "a", "tolerationSeconds": 5}]},
        "spec.tolerations.0",
        "tolerationSeconds needs effect NoExecute",
    ),
    (
        {"autoscaling": {"minReplicas": 3, "maxReplicas": 2}},
        "spec.autoscaling",
        "minReplicas must not be greater than maxReplicas",
    ),
    (
        {"autoscaling": {"metrics": [{"name": "m", "type": "CPU", "memory": {}}]}},
        "spec.autoscaling.metrics.0",
        "must have exactly the member that type names: cpu for CPU, memory for Memory, requestsPerSecond for ",
    ),
    (
        {"autoscaling": {"metrics": [{"name": "m", "type": "Latency", "requestsPerSecond": {"targetPerPod": "50"}}]}},
        "spec.autoscaling.metrics.0",
        "latency for Latency, concurrency for Concurrency, eventLoopLag for EventLoopLag",
    ),
    *(
        (
            {"autoscaling": {"metrics": [{"name": "m", "type": "RequestsPerSecond", "requestsPerSecond": target}]}},
            "spec.autoscaling.metrics.0.requestsPerSecond.targetPerPod",
            "must be requests in a second, greater than 0 and at most 1M, such as 50 or 500m (a half)",
        )
        for target in ({"targetPerPod": 0}, {"targetPerPod": "-1"}, {"targetPerPod": "fifty"}, {"targetPerPod": "2M"})
    ),
    *(
        (
            {"autoscaling": {"metrics": [{"name": "m", "type": "Latency", "latency": {"target": target}}]}},
            "spec.autoscaling.metrics.0.latency.target",
            "must be a number with the unit ms or s, from 1ms to 60s, such as 250ms or 2s",
        )
        for target in ("250", "0ms", "61s", "2m", "1s500ms", "250ms\n")
    ),
    *(
        (
            {"autoscaling": {"metrics": [LATENCY | {"latency": {"target": "1s", "percentile": percentile}}]}},
            "spec.autoscaling.metrics.0.latency.percentile",
            message,
        )
        for percentile, message in ((100, "less than or equal to 99"), (0, "than or equal to 1"), ("95", "integer"))
    ),
    (
        {"autoscaling": {"metrics": [LATENCY, LATENCY | {"name": "again"}]}},
        "spec.autoscaling",
        "metrics must not measure the same twice: one of each type, and of type Latency one of each percentile",
    ),
    (
        {"autoscaling": {"fallback": {"replicas": 11}}},
        "spec.autoscaling",
        "fallback.replicas must not be greater than autoscaling.maxReplicas",
    ),
    (
        {"autoscaling": {"fallback": {"replicas": 3, "after": "14s"}}},
        "spec.autoscaling.fallback.after",
        "must be a duration from 15s to 1h",
    ),
    (
        {"monitoring": {"source": "Ingress"}},
        "spec",
        "monitoring.source Ingress counts what traffic.routes bring in: add a route, or set monitoring.source: App",
    ),
    (
        {
            "monitoring": {"source": "Ingress"},
            "traffic": {"routes": [{"host": "shop.example.com"}]},
            "autoscaling": {"metrics": [{"name": "lag", "type": "EventLoopLag", "eventLoopLag": {"target": "50ms"}}]},
        },
        "spec",
        "monitoring.source Ingress knows nothing of the app's event loops: remove the metric of type EventLoopLag",
    ),
    *(
        (
            {"autoscaling": {"behavior": {"scaleUp": {"tolerance": tolerance}}}},
            "spec.autoscaling.behavior.scaleUp.tolerance",
            'must be a share from 0 to 1, such as "0.05" for 5 %',
        )
        for tolerance in ("5%", "1.01", "-0.1")
    ),
    (
        {"autoscaling": {"burst": {"mode": "Enabled"}}},
        "spec.autoscaling",
        "burst needs a metric of type RequestsPerSecond or Concurrency, which shows how many pods the load needs",
    ),
    (
        {"autoscaling": {"burst": {"window": "29s"}}},
        "spec.autoscaling.burst.window",
        "must be a duration from 30s to 1h",
    ),
    ({"monitoring": {"path": "metrics"}}, "spec.monitoring.path", "String should match pattern"),
    ({"monitoring": {"path": "/metrics?all=1"}}, "spec.monitoring.path", "String should match pattern"),
    (REPEATED, "spec.traffic", "routes must not repeat a host with the same path"),
    (
        {"autoscaling": {"schedules": [{"name": "a", "cron": "0 8 * * *", "duration": "169h", "minReplicas": 3}]}},
        "spec.autoscaling.schedules.0.duration",
        "must be a duration from 1m to 168h",
    ),
    (
        {"autoscaling": {"metrics": [{**QUEUE, "prometheus": {"query": "sum(q)", "targetPerPod": 0}}]}},
        "spec.autoscaling.metrics.0.prometheus.targetPerPod",
        "must be a number greater than 0 and at most 1G, such as 100 or 500m (a half)",
    ),
    (
        {"autoscaling": {"schedules": [{"name": "a", "cron": "0 8 * * *", "duration": "1h", "minReplicas": 11}]}},
        "spec.autoscaling",
        "minReplicas of a schedule must not be greater than autoscaling.maxReplicas",
    ),
    (
        {"memoryRestart": {"worker": {"maxRSS": "512Mi"}}},
        "spec",
        "memoryRestart.worker.maxRSS must be less than resources.limits.memory",
    ),
    (
        {"workers": {"server": "Gunicorn"}, "env": [{"name": "WEB_CONCURRENCY", "value": "9"}]},
        "spec",
        "env has a variable that the operator sets for this workers.server: use port, workers.count, ",
    ),
    (
        {
            "workers": {"server": "Node"},
            "env": [{"name": "NODE_OPTIONS", "valueFrom": {"secretKeyRef": NO_WORKER_SECRET}}],
        },
        "spec",
        "GUNICORN_CMD_ARGS and NODE_OPTIONS must have value instead of valueFrom",
    ),
]


@pytest.mark.parametrize(
    ("fields", "path", "message"), BROKEN, ids=[f"{path}-{message[:30]}" for _, path, message in BROKEN]
)
def test_a_broken_rule_names_the_field_and_what_is_right(fields: dict[str, Any], path: str, message: str) -> None:
    with pytest.raises(SpecError) as refused:
        parse_object(manifest(**fields))
    assert str(refused.value).startswith(f"{path}: "), refused.value
    assert message in str(refused.value)


def test_every_rule_is_broken_by_some_case() -> None:
    messages = "\n".join(_refusal(fields) for fields, _, _ in BROKEN)
    unbroken = [rule.message for rule in _rules(HighConcurrencyApiSpec) if rule.check and rule.message not in messages]
    assert not unbroken, "add a case to BROKEN for each of these rules"


def test_every_rule_reaches_the_crd() -> None:
    in_crd = {entry["rule"] for entry in _validations(crd())}
    missing = [rule.cel for rule in _rules(HighConcurrencyApiSpec) if rule.cel not in in_crd]
    assert not missing


def test_several_mistakes_are_reported_at_once() -> None:
    with pytest.raises(SpecError) as refused:
        parse_object(manifest(port=0, replicas=-1, service={"type": "Ingress"}))
    for path in ("spec.port: ", "spec.replicas: ", "spec.service.type: "):
        assert path in str(refused.value)


@pytest.mark.parametrize("field", ["port", "replicas"])
@pytest.mark.parametrize("value", ["8000", 8000.5, True, [], {}])
def test_a_number_is_a_number(field: str, value: object) -> None:
    with pytest.raises(SpecError, match=rf"^spec\.{field}: "):
        parse_object({**manifest(), "spec": {"image": IMAGE, field: value}})


def _refusal(fields: dict[str, Any]) -> str:
    with pytest.raises(SpecError) as refused:
        parse_object(manifest(**fields))
    return str(refused.value)


def _rules(model: type[BaseModel], seen: frozenset[type] = frozenset()) -> Iterator[Rule]:
    """Rules of a model, of its fields, and of all that is nested in them."""
    yield from getattr(model, "rules", ())
    for field in model.model_fields.values():
        yield from (entry for entry in field.metadata if isinstance(entry, Rule))
        for nested in _models(field.annotation):
            if nested not in seen:
                yield from _rules(nested, seen | {nested})


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models(argument)


def _validations(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield from node.get("x-kubernetes-validations", [])
        for child in node.values():
            yield from _validations(child)
    elif isinstance(node, list):
        for child in node:
            yield from _validations(child)
