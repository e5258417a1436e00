"""The API server's verdict on a spec and the models' are the same, and nothing is stored that was refused."""

from typing import Any

import pytest
import yaml

from dev.cache import REPOSITORY
from hca_operator.api.servers import OPTIONS_ENV, RESERVED_ENV
from hca_operator.api.spec import parse_object
from hca_operator.core.errors import SpecError
from hca_operator.desired.children import desired_children
from hca_operator.desired.sizing import size
from tests.controlplane.api_server import ApiServer, Manifest
from tests.controlplane.objects import KIND, api, env, limits, routes, scaling
from tests.controlplane.verdicts import Cases, models_accept, refused_by_both

LABEL_KEYS = "keys must be Kubernetes label keys such as team or example.com/team"


def metric(**fields: Any) -> Manifest:
    return scaling(metrics=[{"name": "m", "type": "CPU", "cpu": {}} | fields])


def shift(text: str = "45 7 * * 1-5", **fields: Any) -> Manifest:
    schedule = {"name": "morning", "cron": text, "duration": "2h", "minReplicas": 6, **fields}
    return {"autoscaling": {"schedules": [schedule]}}


def cron(text: str, **fields: Any) -> Manifest:
    return {"restartSchedule": {"cron": text, **fields}}


def mounted(*volumes: Manifest, path: str | None = None) -> Manifest:
    """Volumes, each mounted at a path of its own by default."""
    mounts = [{"name": volume["name"], "mountPath": path or f"/mnt/{volume['name']}"} for volume in volumes]
    return {"volumes": list(volumes), "volumeMounts": mounts}


def own(kind: str, member: str, **settings: Any) -> Manifest:
    """A metric that is read from the pods."""
    return {"name": kind.lower(), "type": kind, member: settings}


def latency(target: Any = "250ms", **fields: Any) -> Manifest:
    return own("Latency", "latency", target=target, **fields)


def rate(target: Any) -> Manifest:
    return own("RequestsPerSecond", "requestsPerSecond", targetPerPod=target)


def with_snapshots(mode: str = "Enabled", size: Any = "1Gi", **fields: Any) -> Manifest:
    return {"memoryRestart": {"heapSnapshots": {"mode": mode, "sizeLimit": size}}, **fields}


def sysctl(name: str = "net.ipv4.tcp_fin_timeout", value: str = "20") -> Manifest:
    return {"podSecurity": {"sysctls": [{"name": name, "value": value}]}}


def query(name: str, **settings: Any) -> Manifest:
    asked = {"query": "sum(q)", "targetPerPod": "100", **settings}
    return {"name": name, "type": "Prometheus", "prometheus": asked}


CACHE: Manifest = {"name": "cache", "emptyDir": {}}
SNAPSHOTS_OF_OUR_OWN = mounted({"name": "heap-snapshots", "emptyDir": {}}, path="/heap-snapshots")
HOST = {"host": "shop.example.com"}
CRON = "must be five fields, minute hour day-of-month month day-of-week, of numbers or names"
ACCEPTED: dict[str, Manifest] = {
    "nothing more": {},
    "more pods in the morning": shift(timeZone="Europe/Berlin"),
    "as many schedules as there may be": {
        "autoscaling": {
            "schedules": [
                {"name": f"s{number}", "cron": "*/20 7-9,17-19 1,15 */2 1-5", "duration": "168h", "minReplicas": 10}
                for number in range(8)
            ]
        }
    },
    "the count held": {"autoscaling": {"hold": "Both"}},
    "cpu as integer": limits(2),
    "cpu as text": limits("2"),
    "cpu in thousandths": limits("2000m"),
    "cpu with a part": limits("1500m"),
    "cpu as decimal text": limits("1.5"),
    "cpu least": limits("1m"),
    "cpu finer than a billionth": limits("0.99999999999m"),
    "cpu most": limits("256", "4Ti"),
    "cpu with an exponent": limits("1e0", "1e9"),
    "cpu without a limit": {"resources": {"requests": {"cpu": "500m"}, "limits": {"memory": "1Gi"}}},
    "memory in bytes": limits("1", 536870912),
    "memory least": limits("1", "128Mi"),
    "request equal to limit": limits("1", "1Gi", cpu=1, memory="1024Mi"),
    "nulls": {"env": None, "command": None, "workers": {"count": None}, "podLabels": {"team": None}},
    "empty": {"env": [], "podLabels": {}, "workers": {}, "health": {}, "traffic": {"routes": []}, "autoscaling": {}},
    "one pod": scaling(minReplicas=1, maxReplicas=1),
    "many pods": scaling(minReplicas=1000, maxReplicas=1000),
    "no pods": {"autoscaling": {"mode": "Disabled"}, "replicas": 0},
    "two metrics": scaling(
        metrics=[{"name": "c", "type": "CPU", "cpu": {}}, {"name": "m", "type": "Memory", "memory": {}}]
    ),
    "a metric of every type": scaling(
        metrics=[
            {"name": "c", "type": "CPU", "cpu": {}},
            {"name": "m", "type": "Memory", "memory": {}},
            rate("50"),
            latency(),
            {**latency("60s", percentile=1), "name": "p1"},
            {**latency("1ms", percentile=99), "name": "p99"},
            own("Concurrency", "concurrency", targetPerWorker=1),
            own("EventLoopLag", "eventLoopLag", target="50ms"),
        ]
    ),
    "requests as a number": scaling(metrics=[rate(50)]),
    "requests least": scaling(metrics=[rate("1m")]),
    "requests most": scaling(metrics=[rate("1000k")]),
    "two queries": scaling(metrics=[query("jobs"), query("queue", targetPerPod=1)]),
    "percentile null": scaling(metrics=[latency(percentile=None)]),
    "a fallback": scaling(fallback={"replicas": 10}),
    "a fallback below the minimum": scaling(minReplicas=5, fallback={"replicas": 1, "after": "1h"}),
    "tolerances": scaling(behavior={"scaleUp": {"tolerance": "0.05"}, "scaleDown": {"tolerance": "200m"}}),
    "tolerances least and most": scaling(behavior={"scaleUp": {"tolerance": 0}, "scaleDown": {"tolerance": "1"}}),
    "bursts": scaling(metrics=[rate("50")], burst={"mode": "Enabled"}),
    "bursts of requests in flight": scaling(
        metrics=[{"name": "c", "type": "CPU", "cpu": {}}, own("Concurrency", "concurrency", targetPerWorker=1)],
        burst={"mode": "Enabled", "thresholdPercent": 110, "window": "1h"},
    ),
    "bursts switched off": scaling(burst={"mode": "Disabled", "thresholdPercent": 1000, "window": "30s"}),
    "bursts by default": scaling(burst={}),
    "bursts null": scaling(burst=None),
    "bursts while the count is held": scaling(metrics=[rate("50")], burst={"mode": "Enabled"}, hold="Both"),
    "metrics elsewhere": {"monitoring": {"path": "/internal/metrics", "port": 9090}},
    "metrics of the ingress": {
        "monitoring": {"source": "Ingress"},
        **routes(HOST),
        **scaling(metrics=[rate(50), latency(), own("Concurrency", "concurrency", targetPerWorker=1)]),
    },
    "metrics of the ingress where nothing is read": {"monitoring": {"source": "Ingress"}, **routes(HOST)},
    "metrics at the root": {"monitoring": {"path": "/", "port": None}},
    "port lowest": {"port": 1},
    "port highest": {"port": 65535},
    "path with a query": {"health": {"readinessPath": "/ready?full=1&x=%20"}},
    "env of every source": env(
        {"name": "A", "value": ""},
        {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "C.d-e", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": True}}},
    ),
    "env of a label": env({"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['example.com/a']"}}}),
    "label key with a prefix": {"podLabels": {"a.example.com/b_c": "d"}},
    "routes by path": routes(HOST, HOST | {"path": "/v2", "pathType": "Exact"}, {"host": "*.example.com"}),
    "sysctl": sysctl("net.ipv4.ip_local_port_range", "1024 65000"),
    "baseline as root": {"podSecurity": {"profile": "Baseline", "runAsUser": 0}},
    "toleration of everything": {"tolerations": [{"operator": "Exists"}]},
    "durations": {"health": {"startupTimeout": "1m30s"}, "availability": {"terminationGracePeriod": "1h"}},
    "a server and its variables of the user's": {
        "workers": {"server": "Gunicorn", "placement": "OnePerPod"},
        **env({"name": "GUNICORN_CMD_ARGS", "value": "--threads=4"}, {"name": "UVICORN_PORT", "value": "1"}),
    },
    "another server's options from a Secret": {
        "workers": {"server": "Uvicorn"},
        **env({"name": "NODE_OPTIONS", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}),
    },
    "variables of other servers": env({"name": "PORT", "value": "1"}, {"name": "WEB_CONCURRENCY", "value": "4"}),
    "volume of every kind": mounted(
        {"name": "a", "configMap": {"name": "shop", "items": [{"key": "k", "path": "a/.b/c", "mode": 0o777}]}},
        {"name": "b", "secret": {"secretName": "shop", "optional": True, "defaultMode": 0}},
        {"name": "c", "projected": {"sources": [{"configMap": {"name": "x"}}, {"secret": {"name": "x"}}]}},
        {"name": "d", "emptyDir": {}},
        {"name": "e", "emptyDir": {"sizeLimit": "1024Mi"}},
        {"name": "f", "persistentVolumeClaim": {"claimName": "shop", "readOnly": True}},
    ),
    "mount within the pod's own folder": mounted(CACHE, path="/tmp/cache"),
    "volume twice in the container": {
        "volumes": [CACHE],
        "volumeMounts": [
            {"name": "cache", "mountPath": "/a"},
            {"name": "cache", "mountPath": "/.b", "subPath": "x", "readOnly": True},
        ],
    },
    "rss just below the limit": {"memoryRestart": {"worker": {"maxRSS": "511Mi"}}},
    "heap snapshots": with_snapshots(size="64Mi", **mounted(CACHE), **env({"name": "A", "value": "b"})),
    "what would be in the way of heap snapshots": with_snapshots(
        "Disabled", **SNAPSHOTS_OF_OUR_OWN, **env({"name": "HCA_SNAPSHOT_DIR", "value": "/heap-snapshots"})
    ),
    "pods at their limit": {"memoryRestart": {"pod": {"thresholdPercent": 100}, "minInterval": "24h"}},
    "pods early and often": {"memoryRestart": {"pod": {"thresholdPercent": 10}, "minInterval": "1m"}},
    "restart at night": cron("0 3 * * *", timeZone="America/Argentina/Buenos_Aires"),
    "restart at many times": cron("0,15-45/15 9-17/2,23 1,31 */3 1-5"),
    "restart on Sundays": cron("59 23 * 12 0,7", timeZone="Etc/GMT+1"),
    "restart at numbers with a nought before them": cron("00 03 01-09 01,12 *"),
    "restart in months and on days of the week by name": cron("0  3 * jan,MAR-dec/2 Mon-FRI,sat-sun"),
    "restart daily": cron("@daily"),
}
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
NAME = (
    "metadata.name must be at most 52 characters: lower-case letters, digits and '-', starting with a letter "
    "(it names the Service too)"
)


@pytest.mark.parametrize("fields", ACCEPTED.values(), ids=ACCEPTED)
def test_what_is_right_is_accepted_by_both_and_its_children_too(
    fields: Manifest, server: ApiServer, shared_namespace: str
) -> None:
    written = api(shared_namespace, **fields)
    answer = server.answer("POST", KIND, shared_namespace, body=written, fieldValidation="Strict", dryRun="All")
    assert answer.status_code == 201, answer.text
    assert models_accept(written)
    stored = parse_object(answer.json())
    assert stored.spec == parse_object({**written, "metadata": answer.json()["metadata"]}).spec
    try:
        sizing = size(stored.spec)
    except SpecError:
        return  # more CPU than memory for its workers: a condition says so
    for child in desired_children(stored, sizing):
        if child.manifest is not None:
            server.apply(child.manifest, dryRun="All")


@pytest.mark.parametrize(("fields", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_is_refused_by_both_with_what_is_right_and_nothing_is_stored(
    fields: Manifest, message: str, server: ApiServer, shared_namespace: str
) -> None:
    refused_by_both(server, shared_namespace, fields, message)


@pytest.mark.parametrize("name", ["a", "a" * 52, "shop-2", "a--b"])
def test_a_name_that_a_service_can_have_is_accepted_by_both(
    name: str, server: ApiServer, shared_namespace: str
) -> None:
    assert (
        server.answer("POST", KIND, shared_namespace, body=api(shared_namespace, name), dryRun="All").status_code == 201
    )
    assert models_accept(api(shared_namespace, name))


@pytest.mark.parametrize("name", ["a" * 53, "1shop", "shop.v2"])
def test_fault_07_a_name_that_no_service_can_have_is_refused_by_both(
    name: str, server: ApiServer, shared_namespace: str
) -> None:
    answer = server.answer("POST", KIND, shared_namespace, body=api(shared_namespace, name))
    assert answer.status_code == 422
    assert NAME in answer.json()["message"]
    assert not models_accept(api(shared_namespace, name))


@pytest.mark.parametrize("path", sorted((REPOSITORY / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_is_accepted(path: Any, server: ApiServer, shared_namespace: str) -> None:
    for manifest in yaml.safe_load_all(path.read_text()):
        if manifest["kind"] == KIND:
            answer = server.answer(
                "POST", KIND, shared_namespace, body=manifest, fieldValidation="Strict", dryRun="All"
            )
            assert answer.status_code == 201, answer.text
