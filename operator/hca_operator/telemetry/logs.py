"""Logs in JSON."""

import logging
import sys

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

OF_KOPF = ("settings", "k8s_skip")
"""What kopf adds to each line about an object, for its own use. Its settings are no JSON, so the line would be lost."""


def log_json(level: str) -> None:
    """Write one JSON object per line to standard output, with the fields that a log call passes as `extra`."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        JsonFormatter(
            "{asctime}{levelname}{name}{message}",
            style="{",
            reserved_attrs=[*RESERVED_ATTRS, *OF_KOPF],
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("aiohttp").setLevel(logging.WARNING)
