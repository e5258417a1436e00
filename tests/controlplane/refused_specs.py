"""Spec fields that the API server and the models refuse, and what the API server answers."""

from typing import Any

from hca_operator.api.servers import OPTIONS_ENV, RESERVED_ENV
from tests.controlplane.api_server import Manifest
from tests.controlplane.objects import env, routes, scaling
from tests.controlplane.spec_fields import (
    CACHE,
    HOST,
    cron,
    latency,
    mounted,
    own,
    query,
    rate,
    shift,
    sysctl,
    with_snapshots,
)
from tests.controlplane.verdicts import Cases

LABEL_KEYS = "keys must be Kubernetes label keys such as team or example.com/team"


def metric(**fields: Any) -> Manifest:
    return scaling(metrics=[{"name": "m", "type": "CPU", "cpu": {}} | fields])


CRON = "must be five fields, minute hour day-of-month month day-of-week, of numbers or names"
REFUSED: Cases = {
    "workers 0": ({"workers": {"count": 0}}, "spec.workers.count"),
    "server unknown": (
        {"workers": {"server": "granian"}},
        'supported values: "Granian", "Gunicorn", "Uvicorn", "Node", "Generic"',
    ),
    "placement unknown": ({"workers": {"placement": "Apart"}}, 'supported values: "Shared", "OnePerPod"'),
    **{
        f"env of the operator's for {server}": (
            {"workers": {"server": server}, **env({"name": name, "value": "1"})},
            "env has a variable that the operator sets for this workers.server: use port, workers.count, memoryRestart",
        )
        for server, names in RESERVED_ENV.items()
        for name in names[-1:]
    },
    **{
        f"env {name} from a field": (
            {
                "workers": {"server": server},
                **env({"name": name, "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}),
            },
            "GUNICORN_CMD_ARGS and NODE_OPTIONS must have value instead of valueFrom",
        )
        for server, name in OPTIONS_ENV.items()
    },
    "metrics empty": (scaling(metrics=[]), "should have at least 1 items"),
    "metric twice": (
        scaling(metrics=[{"name": "c", "type": "CPU", "cpu": {}}] * 2),
        "spec.autoscaling.metrics[1]: Duplicate value",
    ),
    "metric without its member": (
        scaling(metrics=[{"name": "c", "type": "CPU"}]),
        "must have exactly the member that type names: cpu for CPU, memory for Memory",
    ),
    "metric with another member": (metric(memory={}), "must have exactly the member that type names"),
    "metric of unknown type": (metric(type="latency"), 'supported values: "CPU", "Memory", "RequestsPerSecond"'),
    "metric of another type's member": (
        metric(type="Latency"),
        "latency for Latency, concurrency for Concurrency, eventLoopLag for EventLoopLag",
    ),
    "metrics of one name": (
        scaling(metrics=[latency(), {**rate(50), "name": "latency"}]),
        "spec.autoscaling.metrics[1]: Duplicate value",
    ),
    **{
        f"two metrics that measure the same, {metrics[0]['type']}": (
            scaling(metrics=metrics),
            "metrics must not measure the same twice: one of each type, and of type Latency one of each percentile",
        )
        for metrics in (
            [{"name": "a", "type": "CPU", "cpu": {}}, {"name": "b", "type": "CPU", "cpu": {}}],
            [rate(50), {**rate(60), "name": "b"}],
            [latency(), rate(50), {**latency("1s", percentile=95), "name": "b"}],
        )
    },
    **{
        f"requests {target!r}": (
            scaling(metrics=[rate(target)]),
            "must be requests in a second, greater than 0 and at most 1M, such as 50 or 500m (a half)",
        )
        for target in (0, "0", "-1", "fifty", "0.1u", "1000001")
    },
    **{
        f"latency {target!r}": (
            scaling(metrics=[latency(target)]),
            "must be a number with the unit ms or s, from 1ms to 60s, such as 250ms or 2s",
        )
        for target in ("250", "0ms", "60001ms", "1m", "0.25s", "-1s", "")
    },
    "two queries of one name": (
        scaling(metrics=[query("queue"), query("queue")]),
        "spec.autoscaling.metrics[1]: Duplicate value",
    ),
    "query that is empty": (scaling(metrics=[query("queue", query="")]), "should be at least 1 chars long"),
    "query that is too long": (scaling(metrics=[query("queue", query="x" * 1025)]), "may not be more than 1024"),
    "query without its member": (
        scaling(metrics=[{"name": "queue", "type": "Prometheus"}]),
        "must have exactly the member that type names",
    ),
    "query with an address of its own": (
        scaling(metrics=[query("queue", url="http://169.254.169.254")]),
        "prometheus.url",
    ),
    "target of nothing": (
        scaling(metrics=[query("queue", targetPerPod=0)]),
        "must be a number greater than 0 and at most 1G, such as 100 or 500m (a half)",
    ),
    "latency as a number": (scaling(metrics=[latency(250)]), "latency.target"),
    "lag without a unit": (
        scaling(metrics=[own("EventLoopLag", "eventLoopLag", target="50")]),
        "must be a number with the unit ms or s, from 1ms to 60s, such as 250ms or 2s",
    ),
    "percentile 100": (scaling(metrics=[latency(percentile=100)]), "should be less than or equal to 99"),
    "percentile 0": (scaling(metrics=[latency(percentile=0)]), "should be greater than or equal to 1"),
    "percentile as text": (scaling(metrics=[latency(percentile="95")]), "percentile"),
    "concurrency 0": (
        scaling(metrics=[own("Concurrency", "concurrency", targetPerWorker=0)]),
        "should be greater than or equal to 1",
    ),
    "concurrency without a target": (
        scaling(metrics=[own("Concurrency", "concurrency")]),
        "concurrency.targetPerWorker: Required value",
    ),
    "source that is not read": (
        scaling(metrics=[own("RequestsPerSecond", "requestsPerSecond", targetPerPod=50, source="Ingress")]),
        "requestsPerSecond.source",
    ),
    "least more than most": (
        scaling(minReplicas=3, maxReplicas=2),
        "minReplicas must not be greater than maxReplicas",
    ),
    "fallback to more than there may be": (
        scaling(fallback={"replicas": 11}),
        "fallback.replicas must not be greater than autoscaling.maxReplicas",
    ),
    "fallback to nothing": (scaling(fallback={"replicas": 0}), "should be greater than or equal to 1"),
    "fallback without a count": (scaling(fallback={"after": "1m"}), "fallback.replicas: Required value"),
    "fallback at once": (
        scaling(fallback={"replicas": 3, "after": "14s"}),
        "must be a duration from 15s to 1h",
    ),
    "metrics of an ingress that brings nothing": (
        {"monitoring": {"source": "Ingress"}},
        "monitoring.source Ingress counts what traffic.routes bring in: add a route, or set monitoring.source: App",
    ),
    "loop lag of the ingress": (
        {
            "monitoring": {"source": "Ingress"},
            **routes(HOST),
            **scaling(metrics=[own("EventLoopLag", "eventLoopLag", target="50ms")]),
        },
        "monitoring.source Ingress knows nothing of the app's event loops",
    ),
    "metrics of neither": ({"monitoring": {"source": "Both"}}, "spec.monitoring.source: Unsupported value"),
    "tolerance in percent": (scaling(behavior={"scaleUp": {"tolerance": "5%"}}), "must be a share from 0 to 1"),
    "tolerance of more than all": (scaling(behavior={"scaleUp": {"tolerance": "1.01"}}), "must be a share from 0 to 1"),
    "tolerance below nothing": (scaling(behavior={"scaleDown": {"tolerance": "-0.1"}}), "must be a share from 0 to 1"),
    "bursts without a metric that counts": (
        scaling(metrics=[latency()], burst={"mode": "Enabled"}),
        "burst needs a metric of type RequestsPerSecond or Concurrency",
    ),
    "bursts on CPU, the default": (
        scaling(burst={"mode": "Enabled"}),
        "burst needs a metric of type RequestsPerSecond or Concurrency",
    ),
    "burst of nothing": (
        scaling(metrics=[rate("50")], burst={"mode": "Enabled", "thresholdPercent": 109}),
        "should be greater than or equal to 110",
    ),
    "burst of too much": (
        scaling(metrics=[rate("50")], burst={"thresholdPercent": 1001}),
        "should be less than or equal to 1000",
    ),
    "burst in no time": (
        scaling(metrics=[rate("50")], burst={"window": "29s"}),
        "must be a duration from 30s to 1h",
    ),
    "burst of another mode": (scaling(burst={"mode": "Panic"}), "spec.autoscaling.burst.mode: Unsupported value"),
    "metrics with a query": ({"monitoring": {"path": "/metrics?all=1"}}, "spec.monitoring.path"),
    "metrics nowhere": ({"monitoring": {"path": ""}}, "spec.monitoring.path"),
    "metrics at no port": ({"monitoring": {"port": 0}}, "spec.monitoring.port"),
    "duration without unit": ({"health": {"startupTimeout": "60"}}, "spec.health.startupTimeout"),
    "duration too long": ({"health": {"startupTimeout": "61m"}}, "must be a duration from 1s to 1h"),
    "grace too short": ({"availability": {"terminationGracePeriod": "4s"}}, "must be a duration from 5s to 1h"),
    "env name": (env({"name": "1A"}), "spec.env[0].name"),
    "env value and source": (
        env({"name": "A", "value": "", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}),
        "must have either value or valueFrom, not both",
    ),
    "env without source": (env({"name": "A", "valueFrom": {}}), "must have exactly one of configMapKeyRef"),
    "env null": (env(None), "spec.env[0]"),  # type: ignore[arg-type]
    "field that no pod has": (
        env({"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.image"}}}),
        "must be metadata.name, metadata.namespace, metadata.uid, metadata.labels['KEY']",
    ),
    "envFrom nothing": ({"envFrom": [{}]}, "must have exactly one of configMapRef and secretRef"),
    "route twice": (routes(HOST, HOST | {"path": "/"}), "routes must not repeat a host with the same path"),
    "root in restricted": (
        {"podSecurity": {"runAsUser": 0}},
        "runAsUser must not be 0 (root) in profile Restricted: choose another user, or profile: Baseline",
    ),
    "sysctl of the whole node": (sysctl("net.core.somaxconn"), "spec.podSecurity.sysctls[0].name: Unsupported value"),
    "sysctl that is no number": (sysctl(value="fast"), "spec.podSecurity.sysctls[0].value"),
    "sysctl twice": (
        {"podSecurity": {"sysctls": sysctl()["podSecurity"]["sysctls"] * 2}},
        "spec.podSecurity.sysctls[1]: Duplicate value",
    ),
    "label key with an empty part": ({"podLabels": {"a..b/c": "x"}}, LABEL_KEYS),
    "label key": ({"podLabels": {"a b": "x"}}, LABEL_KEYS),
    "label value": ({"podLabels": {"a": "b c"}}, "spec.podLabels.a"),
    "toleration of nothing": ({"tolerations": [{}]}, "operator must be Exists where key is absent"),
    "toleration of an empty key": ({"tolerations": [{"key": ""}]}, "spec.tolerations[0].key"),
    "toleration with seconds": (
        {"tolerations": [{"key": "a", "effect": "NoSchedule", "tolerationSeconds": 5}]},
        "tolerationSeconds needs effect NoExecute",
    ),
    "schedule for more pods than there may be": (
        shift(minReplicas=11),
        "minReplicas of a schedule must not be greater than autoscaling.maxReplicas",
    ),
    "schedule at four fields": (shift("0 3 * *"), CRON),
    "schedule without an end": (shift(duration="169h"), "must be a duration from 1m to 168h"),
    "two schedules of one name": (
        {"autoscaling": {"schedules": shift()["autoscaling"]["schedules"] * 2}},
        "spec.autoscaling.schedules[1]: Duplicate value",
    ),
    "hold of no direction": ({"autoscaling": {"hold": "Up"}}, "spec.autoscaling.hold: Unsupported value"),
    "pods beyond their limit": (
        {"memoryRestart": {"pod": {"thresholdPercent": 101}}},
        "spec.memoryRestart.pod.thresholdPercent",
    ),
    "heap snapshots in no room": (with_snapshots(size="63Mi"), "must be a size from 64Mi to 4Ti, such as 512Mi or 1Gi"),
    "heap snapshots and a volume of that name": (
        with_snapshots(**mounted({"name": "heap-snapshots", "emptyDir": {}})),
        "volumes must have no heap-snapshots while memoryRestart.heapSnapshots.mode is Enabled",
    ),
    "heap snapshots and a mount at their place": (
        with_snapshots(**mounted(CACHE, path="/heap-snapshots")),
        "volumeMounts must have none at /heap-snapshots while memoryRestart.heapSnapshots.mode is Enabled",
    ),
    "heap snapshots and a directory of one's own": (
        with_snapshots(**env({"name": "HCA_SNAPSHOT_DIR", "value": "/tmp"})),
        "env must not have HCA_SNAPSHOT_DIR, HCA_SNAPSHOT_MAX_SIZE or HCA_WORKER_MAX_RSS while",
    ),
    "pods all the time": ({"memoryRestart": {"minInterval": "59s"}}, "must be a duration from 1m to 24h"),
    "restart without a time": ({"restartSchedule": {}}, "spec.restartSchedule.cron: Required value"),
    "restart at four fields": (cron("0 3 * *"), CRON),
    "restart in a minute that no hour has": (cron("60 3 * * *"), CRON),
    "restart in a month of no name": (cron("0 3 * JANUARY *"), CRON),
    "restart in a month that is a day": (cron("0 3 * MON *"), CRON),
    "restart in a range of days that goes backwards": (cron("0 3 * * FRI-MON"), CRON),
    "restart in each of no minutes": (cron("*/0 3 * * *"), CRON),
    "restart in a range that goes backwards": (cron("0 3 * * 5-1"), CRON),
    "restart in a range that goes backwards, with a step": (cron("0 1,22-3/2 * * *"), CRON),
    "schedule in a range that goes backwards": (shift("0 3 * * 5-1"), CRON),
    "restart when the machine starts": (cron("@reboot"), CRON),
    "restart in a line": (cron("0 3 * * *\n"), CRON),
    "restart in no time zone": (cron("0 3 * * *", timeZone="+01:00"), "spec.restartSchedule.timeZone"),
    "volume of nothing": ({"volumes": [{"name": "a"}]}, "must have exactly one of configMap, secret, projected"),
    "volume of two kinds": ({"volumes": [CACHE | {"secret": {"secretName": "a"}}]}, "must have exactly one of"),
    "volume of the node": ({"volumes": [{"name": "a", "hostPath": {"path": "/"}}]}, "spec.volumes[0].hostPath"),
    "volume twice": ({"volumes": [CACHE, CACHE]}, "spec.volumes[1]: Duplicate value"),
    "volume tmp": (
        {"volumes": [CACHE | {"name": "tmp"}]},
        "name must not be tmp, which is the pod's own volume at /tmp: choose another",
    ),
    "volume too small": (
        {"volumes": [{"name": "a", "emptyDir": {"sizeLimit": 512}}]},
        "must be a size from 1Mi to 4Ti, such as 64Mi or 1Gi",
    ),
    "file outside of its volume": (
        {"volumes": [{"name": "a", "configMap": {"name": "x", "items": [{"key": "k", "path": "../k"}]}}]},
        "spec.volumes[0].configMap.items[0].path",
    ),
    "projection of two": (
        {"volumes": [{"name": "a", "projected": {"sources": [{"configMap": {"name": "x"}, "secret": {"name": "x"}}]}}]},
        "must have exactly one of configMap and secret; for both, write two sources",
    ),
    "mount of no volume": (
        {"volumeMounts": [{"name": "cache", "mountPath": "/cache"}]},
        "volumeMounts must each name one of spec.volumes: add the volume, or correct the name",
    ),
    "mount of another volume": (
        {"volumes": [CACHE], "volumeMounts": [{"name": "cash", "mountPath": "/cache"}]},
        "volumeMounts must each name one of spec.volumes: add the volume, or correct the name",
    ),
    "mount at one path twice": (
        {"volumes": [CACHE], "volumeMounts": [{"name": "cache", "mountPath": "/a"}] * 2},
        "spec.volumeMounts[1]: Duplicate value",
    ),
    "mount at tmp": (mounted(CACHE, path="/tmp"), "mountPath must not be /tmp, where every pod has a writable folder"),
    "mount at tmp in other words": (mounted(CACHE, path="/tmp/"), "spec.volumeMounts[0].mountPath"),
    "mount out of tmp": (mounted(CACHE, path="/tmp/../etc"), "spec.volumeMounts[0].mountPath"),
    "mount at everything": (mounted(CACHE, path="/"), "spec.volumeMounts[0].mountPath"),
    "disruptions none": ({"availability": {"maxUnavailable": 0}}, "should be greater than or equal to 1"),
}
