"""The application servers, and the variables that belong to the operator with each."""

from typing import TYPE_CHECKING, Literal

from hca_operator.api.schema import Rule

if TYPE_CHECKING:
    from hca_operator.api.spec import HighConcurrencyApiSpec

Server = Literal["Granian", "Gunicorn", "Uvicorn", "Node", "Generic"]
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
RESERVED_ENV: dict[Server, tuple[str, ...]] = {
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

OPTIONS_ENV: dict[Server, str] = {"Gunicorn": "GUNICORN_CMD_ARGS", "Node": "NODE_OPTIONS"}
"""The one variable in which a server takes options of every kind, so that it is the operator's and the user's."""


def _leaves_ours(spec: "HighConcurrencyApiSpec") -> bool:
    return not any(variable.name in RESERVED_ENV[spec.workers.server] for variable in spec.env)


def _gives_options_in_full(spec: "HighConcurrencyApiSpec") -> bool:
    options = OPTIONS_ENV.get(spec.workers.server)
    return not any(variable.name == options and variable.value_from is not None for variable in spec.env)


def _cel_map(entries: dict[Server, str]) -> str:
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
        check=_leaves_ours,
        field_path=".env",
    ),
    Rule(
        cel=f"!has(self.env) || !(self.workers.server in {_OPTIONS}) || "
        f"self.env.all(e, e.name != {_OPTIONS}[self.workers.server] || !has(e.valueFrom))",
        message="GUNICORN_CMD_ARGS and NODE_OPTIONS must have value instead of valueFrom, for the operator's options "
        "are put before it: name the source in a variable before it, and write $(THAT_VARIABLE)",
        check=_gives_options_in_full,
        field_path=".env",
    ),
)
