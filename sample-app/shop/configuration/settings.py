"""Settings from the environment, typed and checked once, before the first request.

Without the check, a pod with a misspelt value starts, becomes ready, and fails an hour later on the one path that reads
the value. Every error names the variable and the values that are allowed.

Kubernetes adds `SHOP_PORT` and `SHOP_SERVICE_*` to the environment of every pod in a namespace with a Service named
`shop`: no setting may have such a name, and unknown SHOP_* variables are no error. The server reads its own GRANIAN_*
variables. Only the number of workers is read here as well: the workers share the connections of the database.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from shop.configuration import environment_values as values

T = TypeVar("T")

# For a laptop only: every reader of this file can sign carts with it.
DEVELOPMENT_KEY = "for-development-only-set-SHOP_SECRET_KEY"

# A worker has one event loop: with more connections than this, requests only queue in the database instead.
_LARGEST_POOL = 10


class SettingsError(ValueError):
    """An environment variable has a wrong value; the message names it and the values that are allowed."""


@dataclass(frozen=True)
class Settings:
    """The settings of one worker."""

    secret_key: str = DEVELOPMENT_KEY
    trusted_proxies: tuple[str, ...] = ()
    workers: int = 1
    shared_directory: Path | None = None
    """Directory of the files that the workers of one server share; without it each worker has its own state."""
    database_url: str | None = None
    """URL of PostgreSQL; without it SQLite, in the shared directory or in memory."""
    database_connections: int = 97
    """Connections of the database server for this API: PostgreSQL's default of 100, less 3 that it reserves."""
    max_pods: int = 10
    """Largest number of pods, including those of a rolling update."""
    slow_query_milliseconds: int = 200
    redis_url: str | None = None
    cache_entries: int = 1024
    cache_seconds: int = 30
    supplier_urls: tuple[str, ...] = ()
    cpu_processes: int = 0
    max_in_flight: int = 512
    max_lag_milliseconds: int = 500
    config_file: Path | None = None
    """TOML file of the settings that may change while the workers run (see `live_settings`)."""
    wedged_seconds: int = 30
    error_budget: int = 10
    upload_mebibytes: int = 1024
    leak_enabled: bool = False
    rehearsal_enabled: bool = False
    tracing: bool = False

    @property
    def pool_size(self) -> int:
        """Connections of each worker, so that all workers of all pods stay within the limit of the database server.

        One worker more than configured, since a replacement starts before its predecessor has ended.
        """
        return min(_LARGEST_POOL, self.database_connections // (self.max_pods * (self.workers + 1)))


def settings_from(environment: Mapping[str, str]) -> Settings:
    """Read the environment; raises `SettingsError` for the first variable that is wrong."""
    defaults = Settings()

    def read(name: str, parse: Callable[[str], T], default: T) -> T:
        try:
            return parse(environment[name]) if name in environment else default
        except ValueError as error:
            raise SettingsError(f"{name} must be {error}.") from None

    number = values.whole_number
    settings = Settings(
        secret_key=read("SHOP_SECRET_KEY", values.key, defaults.secret_key),
        trusted_proxies=read("SHOP_TRUSTED_PROXIES", values.networks, defaults.trusted_proxies),
        workers=read("GRANIAN_WORKERS", number(1, 1024), defaults.workers),
        shared_directory=read("PROMETHEUS_MULTIPROC_DIR", Path, defaults.shared_directory),
        database_url=read("SHOP_DATABASE_URL", values.url("postgresql"), defaults.database_url),
        database_connections=read("SHOP_DATABASE_CONNECTIONS", number(1, 100_000), defaults.database_connections),
        max_pods=read("SHOP_MAX_PODS", number(1, 10_000), defaults.max_pods),
        slow_query_milliseconds=read("SHOP_SLOW_QUERY_MS", number(1, 60_000), defaults.slow_query_milliseconds),
        redis_url=read("SHOP_REDIS_URL", values.url("redis", "rediss"), defaults.redis_url),
        cache_entries=read("SHOP_CACHE_ENTRIES", number(1, 1_000_000), defaults.cache_entries),
        cache_seconds=read("SHOP_CACHE_SECONDS", number(1, 86_400), defaults.cache_seconds),
        supplier_urls=read("SHOP_SUPPLIER_URLS", values.urls("http", "https"), defaults.supplier_urls),
        cpu_processes=read("SHOP_CPU_PROCESSES", number(0, 64), defaults.cpu_processes),
        max_in_flight=read("SHOP_MAX_IN_FLIGHT", number(1, 100_000), defaults.max_in_flight),
        max_lag_milliseconds=read("SHOP_MAX_LAG_MS", number(1, 60_000), defaults.max_lag_milliseconds),
        config_file=read("SHOP_CONFIG_FILE", values.absolute_path, defaults.config_file),
        wedged_seconds=read("SHOP_WEDGED_SECONDS", number(1, 3600), defaults.wedged_seconds),
        error_budget=read("SHOP_ERROR_BUDGET", number(1, 1000), defaults.error_budget),
        upload_mebibytes=read("SHOP_UPLOAD_MEBIBYTES", number(1, 65_536), defaults.upload_mebibytes),
        leak_enabled=read("SHOP_LEAK_ENABLED", values.flag, defaults.leak_enabled),
        rehearsal_enabled=read("SHOP_REHEARSAL_ENABLED", values.flag, defaults.rehearsal_enabled),
        # OpenTelemetry's own variable; the SDK reads its other variables by itself.
        tracing=read("OTEL_EXPORTER_OTLP_ENDPOINT", values.url("http", "https"), "") != "",
    )
    if settings.database_url is not None and settings.pool_size == 0:
        needed = settings.max_pods * (settings.workers + 1)
        raise SettingsError(
            f"SHOP_DATABASE_CONNECTIONS must be at least {needed}, one for each of SHOP_MAX_PODS={settings.max_pods} "
            f"times GRANIAN_WORKERS={settings.workers} plus the one that replaces another, "
            f"not {settings.database_connections}."
        )
    return settings
