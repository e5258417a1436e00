"""The HCA_* variables, typed, read once, before the first worker starts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hca_workers.rules.recycling import Policy

MEBIBYTE = 2**20


class SettingsError(ValueError):
    """A variable has a wrong value; the message names it and the values that are allowed."""


@dataclass(frozen=True)
class Settings:
    """The settings of one server."""

    policy: Policy
    sample_interval_seconds: float
    snapshot_directory: Path | None
    """Directory of heap snapshots; None writes none."""
    snapshot_max_bytes: int
    """Largest size of one snapshot."""


def settings_from(environment: Mapping[str, str]) -> Settings:
    """Read the environment; raises `SettingsError` for the first variable that is wrong."""

    def number(name: str, default: float, minimum: int, maximum: int, unit: str) -> float:
        text = environment.get(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdecimal() and minimum <= int(text) <= maximum):
            raise SettingsError(f"{name} must be a whole number of {unit} from {minimum} to {maximum}, not {text!r}.")
        return float(text)

    interval = number("HCA_RSS_SAMPLE_INTERVAL", 10, 1, 300, "seconds")
    samples = int(number("HCA_RSS_SAMPLES", 3, 1, 100, "samples"))
    policy = Policy(
        max_rss_bytes=number("HCA_WORKER_MAX_RSS", math.inf, 1, 2**24, "MiB") * MEBIBYTE,
        samples=samples,
        early_age_seconds=2 * samples * interval,
        max_silence_seconds=number("HCA_WORKER_MAX_SILENCE", 8, 2, 3600, "seconds"),
        boot_timeout_seconds=number("HCA_WORKER_BOOT_TIMEOUT", 60, 1, 3600, "seconds"),
        kill_timeout_seconds=number("HCA_WORKER_KILL_TIMEOUT", 30, 1, 3600, "seconds"),
        min_interval_seconds=number("HCA_WORKER_MIN_INTERVAL", 60, 0, 86_400, "seconds"),
    )
    snapshot_max_bytes = int(number("HCA_SNAPSHOT_MAX_SIZE", 256, 1, 2**20, "MiB")) * MEBIBYTE
    return Settings(policy, interval, _directory(environment.get("HCA_SNAPSHOT_DIR")), snapshot_max_bytes)


def _directory(text: str | None) -> Path | None:
    if text is None:
        return None
    directory = Path(text)
    if not directory.is_absolute() or not directory.is_dir():
        raise SettingsError(f"HCA_SNAPSHOT_DIR must be the absolute path of a directory that exists, not {text!r}.")
    return directory
