"""The HCA_* variables, typed, read once, before the first worker starts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hca_workers.rules.recycling import Policy

MEBIBYTE = 2**20


class SettingsError(ValueError):
    """A variable that must be changed before the server can start."""


@dataclass(frozen=True)
class Settings:
    """What differs between one API and the next."""

    policy: Policy
    sample_interval: float
    snapshot_directory: Path | None
    snapshot_max_size: int
    """Bytes of one."""


def settings_from(environment: Mapping[str, str]) -> Settings:
    """Read the environment; raises `SettingsError` for the first variable that is wrong."""

    def number(name: str, default: float, least: int, most: int, unit: str) -> float:
        text = environment.get(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdecimal() and least <= int(text) <= most):
            raise SettingsError(f"{name} must be a whole number of {unit} from {least} to {most}, not {text!r}.")
        return float(text)

    interval = number("HCA_RSS_SAMPLE_INTERVAL", 10, 1, 300, "seconds")
    samples = int(number("HCA_RSS_SAMPLES", 3, 1, 100, "samples"))
    policy = Policy(
        max_rss=number("HCA_WORKER_MAX_RSS", math.inf, 1, 2**24, "MiB") * MEBIBYTE,
        samples=samples,
        early=2 * samples * interval,
        max_silence=number("HCA_WORKER_MAX_SILENCE", 8, 2, 3600, "seconds"),
        boot_timeout=number("HCA_WORKER_BOOT_TIMEOUT", 60, 1, 3600, "seconds"),
        kill_timeout=number("HCA_WORKER_KILL_TIMEOUT", 30, 1, 3600, "seconds"),
        min_interval=number("HCA_WORKER_MIN_INTERVAL", 60, 0, 86_400, "seconds"),
    )
    most = int(number("HCA_SNAPSHOT_MAX_SIZE", 256, 1, 2**20, "MiB")) * MEBIBYTE
    return Settings(policy, interval, _folder(environment.get("HCA_SNAPSHOT_DIR")), most)


def _folder(text: str | None) -> Path | None:
    if text is None:
        return None
    folder = Path(text)
    if not folder.is_absolute() or not folder.is_dir():
        raise SettingsError(f"HCA_SNAPSHOT_DIR must be the absolute path of a directory that exists, not {text!r}.")
    return folder
