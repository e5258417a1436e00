"""Writes figures into docs/benchmarks.md, one section for each benchmark, with the command that reproduces them."""

import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"
INTRODUCTION = "# Figures\nMeasured by the commands that stand with them; each run writes its section anew.\n"


def record(
    title: str, command: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, conditions: str = ""
) -> None:
    """Replace the section of that title; `conditions` says under which the figures hold."""
    table = [f"| {' | '.join(line)} |" for line in (columns, ["---"] * len(columns), *rows)]
    date = datetime.now(UTC).date()  # noqa: TID251 - a benchmark says when it was run
    section = "\n".join(
        [
            f"## {title}",
            f"`{command}`, {date}, {machine()}",
            *([conditions] if conditions else []),
            "",
            *table,
            "",
        ],
    )
    text = DOCUMENT.read_text() if DOCUMENT.exists() else INTRODUCTION
    others = [part for part in re.split(r"(?m)^(?=## )", text) if not part.startswith(f"## {title}\n")]
    DOCUMENT.write_text("\n".join(part.strip("\n") + "\n" for part in [*others, section]))


def machine() -> str:
    """What it was measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release().split('-')[0]}"
