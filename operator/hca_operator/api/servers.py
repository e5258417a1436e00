"""The application servers, and the variables that belong to the operator with each."""

from typing import Literal

ApplicationServer = Literal["Granian", "Gunicorn", "Uvicorn", "Node", "Generic"]
Placement = Literal["Shared", "OnePerPod"]

_EVERY_IMAGE_UNDERSTANDS = (
    "PORT",
    "WEB_CONCURRENCY",
    "HCA_WORKERS",
    "HCA_WORKER_KILL_TIMEOUT",
    "HCA_WORKER_BOOT_TIMEOUT",
    "HCA_KEEP_ALIVE",
    "HCA_WORKER_MAX_RSS",
    "HCA_RSS_SAMPLE_INTERVAL",
    "HCA_RSS_SAMPLES",
)
RESERVED_ENV: dict[ApplicationServer, tuple[str, ...]] = {
    "Granian": (),  # its variables are refused with every server, by the rule of EnvVar
    "Gunicorn": _EVERY_IMAGE_UNDERSTANDS,
    "Uvicorn": (
        *_EVERY_IMAGE_UNDERSTANDS,
        "UVICORN_HOST",
        "UVICORN_PORT",
        "UVICORN_WORKERS",
        "UVICORN_TIMEOUT_KEEP_ALIVE",
        "UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN",
        "UVICORN_TIMEOUT_WORKER_HEALTHCHECK",
    ),
    "Node": _EVERY_IMAGE_UNDERSTANDS,
    "Generic": _EVERY_IMAGE_UNDERSTANDS,
}
"""Variables that the operator sets, and an object must not."""

OPTIONS_ENV: dict[ApplicationServer, str] = {"Gunicorn": "GUNICORN_CMD_ARGS", "Node": "NODE_OPTIONS"}
"""The one variable in which a server takes options of every kind, so that it is the operator's and the user's."""
