"""`python -m shop` serves the app with Granian, on a laptop and in the container.

Granian reads its own GRANIAN_* variables and the options after `shop`. Only what is specific to this app is set here.
The settings are checked first: Granian itself would respawn workers that cannot load the app, again and again.
"""

import contextlib
import os
import sys
import tempfile
from pathlib import Path

from shop.configuration.settings import SettingsError, settings_from


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    # Not at the top: the processes of `cpu_pool` import this module and serve nothing.
    from granian.cli import entrypoint  # noqa: PLC0415

    try:
        settings_from(os.environ)
    except SettingsError as error:
        sys.exit(f"shop: {error}")
    os.environ.setdefault("GRANIAN_LOG_CONFIG", str(Path(__file__).with_name("logging.json")))
    # The shop has no WebSockets, and the server would check each request for them.
    os.environ.setdefault("GRANIAN_WEBSOCKETS", "false")
    sys.argv[1:1] = ["--interface", "asgi", "shop.app:app"]
    with contextlib.ExitStack() as stack:
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="shop-metrics-"))
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
        entrypoint()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
