"""Uvicorn's own command line, read as Uvicorn reads it: no option of it is named here."""

import sys
from collections.abc import Sequence
from typing import Any

import click
import uvicorn
from uvicorn.config import LOGGING_CONFIG
from uvicorn.main import main as command


def config_from(arguments: Sequence[str], **more: Any) -> uvicorn.Config:  # noqa: ANN401 - whatever Uvicorn takes
    """Return the configuration that `uvicorn ARGUMENTS` would have, with `more` set; raises what click raises."""
    options = dict(command.make_context("hca-uvicorn", list(arguments)).params)
    if options["reload"]:
        raise click.UsageError("--reload is for development: run uvicorn with it, not hca-uvicorn.")
    # These three are not options of the configuration as they stand: Uvicorn's main changes them, too.
    sys.path.insert(0, options.pop("app_dir"))
    options["headers"] = [header.split(":", 1) for header in options["headers"]]
    options["log_config"] = options["log_config"] or LOGGING_CONFIG
    wanted = {name: value for name, value in options.items() if not name.startswith("reload")}
    return uvicorn.Config(**{**wanted, **more})
