"""Logs in JSON."""

import logging
import sys

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

KOPF_FIELDS = ("settings", "k8s_skip")
"""Fields that kopf adds to each line about an object, and that are left out: see `controller/kopf_events.py`."""


def log_json(level: str) -> None:
    """Write one JSON object per line to standard output, with the fields that a log call passes as `extra`."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        JsonFormatter(
            "{asctime}{levelname}{name}{message}",
            style="{",
            reserved_attrs=[*RESERVED_ATTRS, *KOPF_FIELDS],
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("aiohttp").setLevel(logging.WARNING)
