"""`python -m shop` serves the app with Granian, on a laptop and in the container alike.

Granian reads its own GRANIAN_* variables and the options given after `shop`, so nothing about
the server is configured here but what makes it this app's. The settings are checked first:
started by itself, Granian would respawn workers that cannot load the app, again and again.
"""

import contextlib
import os
import sys
import tempfile
from pathlib import Path

from shop.configuration.settings import SettingsError, settings_from


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    # Here, since the processes of `cpu` import this module and serve nothing.
    from granian.cli import entrypoint  # noqa: PLC0415

    try:
        settings_from(os.environ)
    except SettingsError as error:
        sys.exit(f"shop: {error}")
    os.environ.setdefault("GRANIAN_LOG_CONFIG", str(Path(__file__).with_name("logging.json")))
    # The shop has none, and the server would look at each request for one.
    os.environ.setdefault("GRANIAN_WEBSOCKETS", "false")
    sys.argv[1:1] = ["--interface", "asgi", "shop.app:app"]
    with contextlib.ExitStack() as stack:
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="shop-metrics-"))
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
        entrypoint()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
