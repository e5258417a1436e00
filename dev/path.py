"""Programs that a developer's machine may have: one on the path that fits is used, else one is built."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from dev import cache, versions
from dev.go import ANSWERS_WITHIN, Tool
from dev.steps import answer

FOLDER = cache.HOME / "programs"


@dataclass(frozen=True)
class PathTool(Tool):
    """A tool with one program, which is a link to the one that is in use."""

    version_arguments: tuple[str, ...] = ()  # make it print its own version, and ask no cluster

    def program(self, name: str | None = None) -> Path:
        """Return the path of the link, the same wherever it leads to."""
        return FOLDER / (name or self.name)

    @property
    def built(self) -> Path:
        """Where the program is that was built here, if it was."""
        return self.folder / self.name


def version(text: str) -> tuple[int, ...]:
    """Return the first version in what a program prints, such as "Client Version: v1.36.3", or nothing."""
    found = re.search(r"v(\d+)\.(\d+)\.(\d+)", text)
    return tuple(map(int, found.groups())) if found else ()


def fits(tool: PathTool, prints: str) -> bool:
    """Tell by what a program prints whether it is of a version that does what the set-up and the tests ask of it."""
    oldest, newer = versions.FITTING[tool.name]
    return oldest <= version(prints) < newer


def is_fitting(tool: PathTool, program: Path) -> bool:
    """Tell whether a program runs and fits."""
    prints = answer((program, *tool.version_arguments), timeout=ANSWERS_WITHIN)
    return prints is not None and fits(tool, prints)


def find(tool: PathTool) -> Path | None:
    """Return the machine's own program, if it fits."""
    elsewhere = [folder for folder in os.environ["PATH"].split(os.pathsep) if Path(folder) != FOLDER]
    found = shutil.which(tool.name, path=os.pathsep.join(elsewhere))
    return Path(found) if found and is_fitting(tool, Path(found)) else None


def link(tool: PathTool, target: Path) -> None:
    """Let the tool's program be another one from now on, also while something runs it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    new = FOLDER / f".{tool.name}-{os.getpid()}"
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.rename(tool.program())


def ready(tool: Tool) -> bool:
    """Tell whether the tool's programs are there and are as they should be."""
    if not isinstance(tool, PathTool):
        return tool.folder.exists()
    if not tool.program().exists():
        return False
    target = tool.program().readlink()
    return target == tool.built or (cache.HOME not in target.parents and is_fitting(tool, target))
