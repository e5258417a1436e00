"""Programs that a developer's machine may have: one on the path that fits is used, else one is built."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from dev import cache, host, versions
from dev.go import ANSWERS_WITHIN, Tool
from dev.steps import answer

FOLDER = cache.HOME / "programs"


@dataclass(frozen=True)
class PathTool(Tool):
    """A tool with one program, which is a link to the one that is in use."""

    version_arguments: tuple[str, ...] = ()  # make it print its own version, and ask no cluster
    before_version: str = ""  # on the line that it prints then

    def program(self, name: str | None = None) -> Path:
        """Return the path of the link, the same wherever it leads to."""
        return FOLDER / (name or self.name)

    @property
    def built(self) -> Path:
        """Where the program is that was built here, if it was."""
        return self.folder / self.name


def version(text: str, before: str = "") -> tuple[int, ...]:
    """Return the version on the first line that begins with these words and one, or nothing.

    A wrapper may print lines of its own first.
    """
    found = re.search(rf"^{re.escape(before)}v(\d+)\.(\d+)\.(\d+)", text, re.MULTILINE)
    return tuple(map(int, found.groups())) if found else ()


def fits(tool: PathTool, prints: str) -> bool:
    """Tell by what a program prints whether it is of a version that does what the set-up and the tests ask of it."""
    oldest, newer = versions.FITTING[tool.name]
    return oldest <= version(prints, tool.before_version) < newer


def is_fitting(tool: PathTool, program: Path) -> bool:
    """Tell whether a program runs and fits."""
    prints = answer((program, *tool.version_arguments), timeout=ANSWERS_WITHIN)
    return prints is not None and fits(tool, prints)


def find(tool: PathTool) -> Path | None:
    """Return the first of the machine's own programs that fits."""
    elsewhere = (program for program in host.on_path(tool.name) if program.parent != FOLDER)
    return next((program for program in elsewhere if is_fitting(tool, program)), None)


def link(tool: PathTool, target: Path) -> None:
    """Let the tool's program be another one from now on, also while something runs it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    new = FOLDER / f".{tool.name}-{os.getpid()}"
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    if tool.program().is_dir():
        cache.remove(tool.program())
    new.rename(tool.program())


def ready(tool: Tool) -> bool:
    """Tell whether the tool's programs are there and are as they should be."""
    if not isinstance(tool, PathTool):
        return tool.folder.exists()
    if not (tool.program().is_symlink() and tool.program().exists()):
        return False
    target = tool.program().readlink()
    return target == tool.built or (cache.HOME not in target.parents and is_fitting(tool, target))
