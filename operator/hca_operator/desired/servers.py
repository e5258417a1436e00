"""How the object's numbers reach the process: the variables that each application server documents itself.

By the environment, so that the image's command stays as it is. docs/servers.md says how each server
uses it, and what takes precedence if the command says otherwise.
"""

from collections.abc import Callable

from hca_operator.api.servers import OPTIONS_ENV, ApplicationServer
from hca_operator.api.spec import HighConcurrencyApiSpec
from hca_operator.core.names import Manifest
from hca_operator.desired import heap_snapshots
from hca_operator.desired.sizing import Sizing

KEEP_ALIVE_SECONDS = 100
"""Seconds that a server keeps an idle connection: longer than nginx (60) and Traefik (90) do, since a connection that
the server closes first may take a request with it."""
NODE_HEAP_PERCENT = 75
"""Of a worker's memory; the rest is for what V8 does not count: young objects, code, buffers, Node itself."""

ServerEnvironment = dict[str, str | int]


def environment(spec: HighConcurrencyApiSpec, sizing: Sizing) -> list[Manifest]:
    """Variables of the container: the operator's for the server, then the user's.

    The variable with options of every kind is of both, at the user's place, where what it refers to is known; the
    user's options come last, and the last one wins.
    """
    ours = _SETTINGS[spec.workers.server](spec, sizing) | heap_snapshots.variables(spec, sizing)
    theirs = [variable.model_dump(by_alias=True, exclude_none=True) for variable in spec.env]
    for variable in theirs:
        if variable["name"] == OPTIONS_ENV.get(spec.workers.server):
            variable["value"] = f"{ours.pop(variable['name'])} {variable.get('value', '')}".strip()
    return [*({"name": name, "value": str(value)} for name, value in ours.items()), *theirs]


def _granian(spec: HighConcurrencyApiSpec, sizing: Sizing) -> ServerEnvironment:
    return {
        "GRANIAN_HOST": "0.0.0.0",  # noqa: S104 - the pod's own addresses
        "GRANIAN_PORT": spec.port,
        "GRANIAN_WORKERS": sizing.workers,
        "GRANIAN_RESPAWN_FAILED_WORKERS": "true",
        "GRANIAN_WORKERS_KILL_TIMEOUT": sizing.worker_kill_timeout,
        # Also the keep-alive: a balancer keeps idle connections for an hour (Envoy) or a minute (nginx), and each that
        # the server closes first may take a request with it. A minute is the most that Granian has.
        "GRANIAN_HTTP1_HEADER_READ_TIMEOUT": 60_000,
        **_memory(spec, sizing, "GRANIAN_WORKERS_MAX_RSS", "GRANIAN_RSS_SAMPLE_INTERVAL", "GRANIAN_RSS_SAMPLES"),
    }


def _generic(spec: HighConcurrencyApiSpec, sizing: Sizing) -> ServerEnvironment:
    """What many programs read by convention, and the numbers by names of our own for those that read them."""
    return {
        "PORT": spec.port,
        "WEB_CONCURRENCY": sizing.workers,
        "HCA_WORKERS": sizing.workers,
        "HCA_WORKER_KILL_TIMEOUT": sizing.worker_kill_timeout,
        "HCA_WORKER_BOOT_TIMEOUT": sizing.startup_timeout,
        "HCA_KEEP_ALIVE": KEEP_ALIVE_SECONDS,
        **_memory(spec, sizing, "HCA_WORKER_MAX_RSS", "HCA_RSS_SAMPLE_INTERVAL", "HCA_RSS_SAMPLES"),
    }


def _memory(spec: HighConcurrencyApiSpec, sizing: Sizing, most: str, interval: str, samples: str) -> ServerEnvironment:
    """When a worker is replaced on memory, by the names that its server reads; empty if none is replaced."""
    if sizing.worker_max_rss is None:
        return {}
    return {
        most: sizing.worker_max_rss,
        interval: sizing.sample_interval,
        samples: spec.memory_restart.samples,
    }


def _gunicorn(spec: HighConcurrencyApiSpec, sizing: Sizing) -> ServerEnvironment:
    options = (
        f"--bind=0.0.0.0:{spec.port}",
        f"--workers={sizing.workers}",  # also before a gunicorn.conf.py, which WEB_CONCURRENCY is not
        f"--graceful-timeout={sizing.worker_kill_timeout}",
        f"--keep-alive={KEEP_ALIVE_SECONDS}",
        "--worker-tmp-dir=/dev/shm",  # in memory: on a busy disk the heartbeats come late, and workers are killed
    )
    return _generic(spec, sizing) | {"GUNICORN_CMD_ARGS": " ".join(options)}


def _uvicorn(spec: HighConcurrencyApiSpec, sizing: Sizing) -> ServerEnvironment:
    return _generic(spec, sizing) | {
        "UVICORN_HOST": "0.0.0.0",  # noqa: S104 - the pod's own addresses
        "UVICORN_PORT": spec.port,
        "UVICORN_WORKERS": sizing.workers,
        "UVICORN_TIMEOUT_KEEP_ALIVE": KEEP_ALIVE_SECONDS,
        "UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN": sizing.worker_kill_timeout,
        # A worker answers only once its interpreter is up; with little CPU that takes longer than the usual 5 s, and a
        # worker that is killed for it never gets further.
        "UVICORN_TIMEOUT_WORKER_HEALTHCHECK": sizing.startup_timeout,
    }


def _node(spec: HighConcurrencyApiSpec, sizing: Sizing) -> ServerEnvironment:
    heap = sizing.worker_budget * NODE_HEAP_PERCENT // 100
    return _generic(spec, sizing) | {"NODE_OPTIONS": f"--max-old-space-size={heap}"}


_SETTINGS: dict[ApplicationServer, Callable[[HighConcurrencyApiSpec, Sizing], ServerEnvironment]] = {
    "Granian": _granian,
    "Gunicorn": _gunicorn,
    "Uvicorn": _uvicorn,
    "Node": _node,
    "Generic": _generic,
}
