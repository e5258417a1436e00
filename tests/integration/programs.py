"""Programs of Debian that the tests run."""

import os
import shutil
from pathlib import Path

from dev import cache, debian
from dev.steps import Step

# Debian keeps the programs of each version of PostgreSQL off the path.
PATHS = os.pathsep.join([os.environ["PATH"], *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin")))])


def program(name: str, package: str) -> str:
    """Path of a program, which comes with a package; installed where it is missing."""
    if shutil.which(name, path=PATHS) is None:
        with cache.exclusive(print):
            debian.ensure(Step("packages", cache.LOGS / "packages-of-sample-app-tests.log"), {name: package})
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name) or name
