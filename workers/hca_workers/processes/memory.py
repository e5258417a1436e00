"""How much memory is left until the kernel begins to kill."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")
_FILES = (
    # The second version of control groups, and the first; the limit, what is used, and what of it is cache of files.
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    (
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
        "total_inactive_file",
    ),
)


def room(groups: Path = CGROUPS) -> int:
    """Return the bytes that this container may still take: until its limit, and no more than the machine has."""
    free = _numbers(_MEMINFO.read_text().replace(":", ""))["MemAvailable"] * 1024
    for limit, used, statistics, cache in _FILES:
        with suppress(FileNotFoundError, ValueError):  # ValueError: the limit is the word `max`
            taken = int((groups / used).read_text()) - _numbers((groups / statistics).read_text()).get(cache, 0)
            free = min(free, int((groups / limit).read_text()) - taken)
    return max(0, free)


def _numbers(text: str) -> Mapping[str, int]:
    return {words[0]: int(words[1]) for line in text.splitlines() if len(words := line.split()) > 1}
