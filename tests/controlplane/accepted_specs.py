"""Spec fields that the API server and the models accept."""

from tests.controlplane.api_server import Manifest
from tests.controlplane.objects import env, limits, routes, scaling
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

SNAPSHOTS_OF_OUR_OWN = mounted({"name": "heap-snapshots", "emptyDir": {}}, path="/heap-snapshots")
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
