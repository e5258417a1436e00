"""Settings that change while the workers run: a file that each worker reads every two seconds.

A rolling restart to change a log level loses every cache and every connection. Settings that are safe to change in a
running worker may come from a file, such as a mounted ConfigMap. Others may not: a worker with a new key or a new pool
would have requests in progress with the old one.

Each worker reads the file by itself, and publishes the digest of the content in force: equal digests mean that all
workers agree. Wrong content changes nothing: the worker keeps its settings and logs the error once. The content is
compared, not the time of the file: a mounted ConfigMap changes by a symbolic link, which a watch of the file misses.
"""

import asyncio
import hashlib
import logging
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Never

from shop.configuration import environment_values as values
from shop.configuration.settings import Settings
from shop.observation.metrics import Metrics

_INTERVAL = 2.0
_LARGEST = 64 * 1024
_PARSERS: dict[str, Callable[[str], Any]] = {
    "log_level": values.one_of("debug", "info", "warning", "error"),
    "max_in_flight": values.whole_number(1, 100_000),
    "max_lag_ms": values.whole_number(1, 60_000),
}

_log = logging.getLogger("shop")


@dataclass(frozen=True)
class Limits:
    """The settings that a running worker can change at any moment."""

    log_level: str
    max_in_flight: int
    max_lag_ms: int


class LiveSettings:
    """The values of the file, and of the environment for those that the file does not set."""

    def __init__(self, settings: Settings, metrics: Metrics, *, worker: int) -> None:
        self.current = self._environment = Limits("info", settings.max_in_flight, settings.max_lag_milliseconds)
        self.digest: str | None = None
        """First 12 hexadecimal digits of the SHA-256 of the content in force, None before a file was read."""
        self._file = settings.config_file
        self._metric = metrics.config_digest.labels(str(worker))
        self._applied: bytes | None = None
        self._logged_error = ""
        if self._file is not None:
            self._apply(self._file, _content(self._file))

    async def follow(self) -> Never:
        """Read the file every two seconds until cancelled."""
        while True:
            await asyncio.sleep(_INTERVAL)
            if self._file is not None:
                # In a thread: a mount that hangs must not block requests.
                self._apply(self._file, await asyncio.to_thread(_content, self._file))

    def _apply(self, file: Path, content: bytes | OSError) -> None:
        if content == self._applied:
            self._logged_error = ""
            return
        try:
            if isinstance(content, OSError):
                raise ValueError(f"it cannot be read ({content.strerror})")
            self.current = _parsed(content, self._environment)
        except ValueError as error:
            if str(error) != self._logged_error:
                _log.error("%s changes nothing: %s", file, error)
            self._logged_error = str(error)
            return
        self._applied, self._logged_error = content, ""
        self.digest = hashlib.sha256(content).hexdigest()[:12]
        # As a number: a label would make a new series for each content. A float holds 48 bits exactly.
        self._metric.set(int(self.digest, 16))
        _log.info("the settings of %s are in force", file, extra={"config": self.digest})
        _log.setLevel(self.current.log_level.upper())


def _content(file: Path) -> bytes | OSError:
    try:
        with file.open("rb") as opened:
            return opened.read(_LARGEST + 1)
    except OSError as error:
        return error


def _parsed(content: bytes, environment: Limits) -> Limits:
    if len(content) > _LARGEST:
        raise ValueError(f"it has more than {_LARGEST} bytes")
    try:
        found = tomllib.loads(content.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"it is not TOML: {error}") from None
    changed = {}
    for name, value in found.items():
        if name not in _PARSERS:
            raise ValueError(f"{name} is not one of {', '.join(_PARSERS)}")
        try:
            changed[name] = _PARSERS[name](str(value))
        except ValueError as error:
            raise ValueError(f"{name} must be {error}") from None
    return Limits(**{**vars(environment), **changed})
