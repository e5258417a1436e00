import math
import re
from pathlib import Path

import pytest

from hca_workers.settings import MEBIBYTE, SettingsError, settings_from

PACKAGE = Path(__file__).parents[3] / "workers"


def test_without_variables_silent_workers_are_found_and_memory_has_no_limit() -> None:
    settings = settings_from({})
    assert settings.policy.max_rss_bytes == math.inf
    assert settings.policy.max_silence_seconds == 8
    assert settings.sample_interval_seconds == 10
    assert settings.snapshot_directory is None


def test_each_variable_is_read(tmp_path: Path) -> None:
    settings = settings_from(
        {
            "HCA_WORKER_MAX_RSS": "400",
            "HCA_RSS_SAMPLE_INTERVAL": "5",
            "HCA_RSS_SAMPLES": "2",
            "HCA_WORKER_MAX_SILENCE": "20",
            "HCA_WORKER_BOOT_TIMEOUT": "90",
            "HCA_WORKER_KILL_TIMEOUT": "15",
            "HCA_WORKER_MIN_INTERVAL": "0",
            "HCA_SNAPSHOT_DIR": str(tmp_path),
            "HCA_SNAPSHOT_MAX_SIZE": "70",
        }
    )
    policy = settings.policy
    assert (policy.max_rss_bytes, policy.samples, settings.sample_interval_seconds) == (400 * MEBIBYTE, 2, 5)
    assert (policy.max_silence_seconds, policy.boot_timeout_seconds, policy.kill_timeout_seconds) == (20, 90, 15)
    assert (policy.min_interval_seconds, policy.interval_seconds(3)) == (0, 0)
    assert policy.early_age_seconds == 20, "twice the time that it takes to be found too big"
    assert (settings.snapshot_directory, settings.snapshot_max_bytes) == (tmp_path, 70 * MEBIBYTE)


@pytest.mark.parametrize(
    ("name", "text", "right"),
    [
        ("HCA_WORKER_MAX_RSS", "400Mi", "a whole number of MiB from 1 to 16777216"),
        ("HCA_WORKER_MAX_RSS", "0", "a whole number of MiB from 1 to 16777216"),
        ("HCA_WORKER_MAX_RSS", "٤", "a whole number of MiB from 1 to 16777216"),
        ("HCA_RSS_SAMPLES", "", "a whole number of samples from 1 to 100"),
        ("HCA_RSS_SAMPLE_INTERVAL", "0.5", "a whole number of seconds from 1 to 300"),
        ("HCA_WORKER_KILL_TIMEOUT", "-1", "a whole number of seconds from 1 to 3600"),
        ("HCA_SNAPSHOT_DIR", "/nowhere/at/all", "the absolute path of a directory that exists"),
        ("HCA_SNAPSHOT_DIR", ".", "the absolute path of a directory that exists"),
    ],
)
def test_an_error_names_the_variable_and_what_would_be_right(name: str, text: str, right: str) -> None:
    with pytest.raises(SettingsError) as error:
        settings_from({name: text})
    assert str(error.value) == f"{name} must be {right}, not {text!r}."


def test_every_variable_that_is_read_is_documented_with_its_default() -> None:
    read = set(re.findall(r'"(HCA_\w+)"', (PACKAGE / "hca_workers" / "settings.py").read_text()))
    rows = re.findall(r"^\| `(HCA_\w+)` \| (\S+)", (PACKAGE / "README.md").read_text(), re.MULTILINE)
    assert read == {name for name, _ in rows}
    assert settings_from({name: value for name, value in rows if value.isdecimal()}) == settings_from({})
