"""Uvicorn's own command line, parsed by Uvicorn's own command: its options are not listed here."""

import sys
from collections.abc import Sequence
from typing import Any

import click
import uvicorn
from uvicorn.config import LOGGING_CONFIG
from uvicorn.main import main as command


def config_from(arguments: Sequence[str], **more: Any) -> uvicorn.Config:  # noqa: ANN401 - any option of Uvicorn
    """Return the configuration that `uvicorn ARGUMENTS` would have, with `more` set; raises `click.ClickException`."""
    options = dict(command.make_context("hca-uvicorn", list(arguments)).params)
    if options["reload"]:
        raise click.UsageError("--reload is for development: run uvicorn with it, not hca-uvicorn.")
    # Uvicorn's main converts these three in the same way before it builds its configuration.
    sys.path.insert(0, options.pop("app_dir"))
    options["headers"] = [header.split(":", 1) for header in options["headers"]]
    options["log_config"] = options["log_config"] or LOGGING_CONFIG
    without_reload = {name: value for name, value in options.items() if not name.startswith("reload")}
    return uvicorn.Config(**{**without_reload, **more})
