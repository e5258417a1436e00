"""Durations as users write them (`90s`, `10m`, `1h30m`), in whole seconds."""

import re

_SECONDS = {"h": 3600, "m": 60, "s": 1}
DURATION_PATTERN = "^([0-9]{1,5}[hms]){1,3}$"
"""A subset of Go's durations: what CEL's duration() parses and no float is needed for."""


def parse_duration(text: str) -> int:
    """Seconds of a duration. Raises ValueError for anything that DURATION_PATTERN does not match."""
    if not re.fullmatch(DURATION_PATTERN, text):
        raise ValueError(f"{text!r} is not a duration such as 60s, 10m or 1h30m")
    return sum(int(number) * _SECONDS[unit] for number, unit in re.findall(r"(\d+)([hms])", text))
