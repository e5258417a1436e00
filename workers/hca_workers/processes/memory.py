"""Memory that a process holds, and memory that is left until the kernel begins to kill."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_FILES = (
    # Version 2 of control groups, then version 1: limit, usage, statistics, and the statistic of cached file pages.
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    (
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
        "total_inactive_file",
    ),
)


def resident_bytes(pid: int) -> int | None:
    """Return the resident memory of a process, None if it has ended."""
    with suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123 - each second
        return int(file.read().split()[1]) * _PAGE or None
    return None


def available_bytes(groups: Path = CGROUPS) -> int:
    """Return the bytes that this container may still take: up to its limit, and no more than the machine has left."""
    free = _numbers(_MEMINFO.read_text().replace(":", ""))["MemAvailable"] * 1024
    for limit, usage, statistics, cache in _FILES:
        with suppress(FileNotFoundError, ValueError):  # ValueError: the limit is the word `max`
            used = int((groups / usage).read_text()) - _numbers((groups / statistics).read_text()).get(cache, 0)
            free = min(free, int((groups / limit).read_text()) - used)
    return max(0, free)


def _numbers(text: str) -> Mapping[str, int]:
    return {words[0]: int(words[1]) for line in text.splitlines() if len(words := line.split()) > 1}
