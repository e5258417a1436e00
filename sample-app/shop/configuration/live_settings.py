"""Settings that change while the workers run: a file that each worker reads again every two seconds.

A rolling restart for a log level costs every cache and every connection. What is safe to change in
a running worker comes from a file, such as a mounted ConfigMap, and nothing else does: a pool or a
key that changed under way would leave a worker with half of each.

Each worker reads the file itself, since there is nobody who could tell all of them, and says by the
digest of what it runs with whether they agree. Content that is wrong changes nothing: the worker
keeps what it has and logs why, and the digest shows it beside those of the others. The file is
compared by its content: what mounts it swaps a symbolic link, which no watch of the file tells of.
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
    """What a running worker can take over at any moment."""

    log_level: str
    max_in_flight: int
    max_lag_ms: int


class LiveSettings:
    """Those of the file, and of the environment where the file says nothing."""

    def __init__(self, settings: Settings, metrics: Metrics, *, worker: int) -> None:
        self.now = self._environment = Limits("info", settings.max_in_flight, settings.max_lag_milliseconds)
        self.digest: str | None = None
        """Of the content that is in force, None where no file was read."""
        self._file = settings.config_file
        self._metric = metrics.config_digest.labels(str(worker))
        self._seen: bytes | None = None
        self._trouble = ""
        if self._file is not None:
            self._take(self._file, _content(self._file))

    async def follow(self) -> Never:
        """Read the file again and again until cancelled."""
        while True:
            await asyncio.sleep(_INTERVAL)
            if self._file is not None:
                # In a thread: a mount that hangs must not hold up requests.
                self._take(self._file, await asyncio.to_thread(_content, self._file))

    def _take(self, file: Path, content: bytes | OSError) -> None:
        if content == self._seen:
            self._trouble = ""
            return
        try:
            if isinstance(content, OSError):
                raise ValueError(f"it cannot be read ({content.strerror})")
            self.now = _parsed(content, self._environment)
        except ValueError as error:
            if str(error) != self._trouble:
                _log.error("%s changes nothing: %s", file, error)
            self._trouble = str(error)
            return
        self._seen, self._trouble = content, ""
        self.digest = hashlib.sha256(content).hexdigest()[:12]
        # As a number, since a label would be a new series for each content; 48 bits of it fit.
        self._metric.set(int(self.digest, 16))
        _log.info("the settings of %s are in force", file, extra={"config": self.digest})
        _log.setLevel(self.now.log_level.upper())


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
