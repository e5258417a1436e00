"""Fields of a spec, of which accepted and refused specs are made."""

from typing import Any

from tests.controlplane.api_server import Manifest


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
HOST = {"host": "shop.example.com"}
