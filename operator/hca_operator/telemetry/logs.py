"""Logs in JSON."""

import logging
import sys

from pythonjsonlogger.json import JsonFormatter


def log_json(level: str) -> None:
    """Write one JSON object per line to standard output, with the fields that a log call passes as `extra`."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        JsonFormatter(
            "{asctime}{levelname}{name}{message}",
            style="{",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("aiohttp").setLevel(logging.WARNING)
