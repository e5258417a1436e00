"""What would make a run fail late is found out before it starts."""

import os
import shutil
from collections import defaultdict
from pathlib import Path

from dev.steps import ClusterError

GIB = 2**30


def existing(path: Path) -> Path:
    """Return the path, or its nearest parent that is there already."""
    return next(folder for folder in (path, *path.parents) if folder.exists())


def shortage(needs: dict[Path, int], free: dict[Path, int], volume: dict[Path, int]) -> str | None:
    """Return what is missing where: paths on one volume share its room."""
    together: dict[int, list[Path]] = defaultdict(list)
    for path in needs:
        together[volume[path]].append(path)
    for paths in together.values():
        need, room = sum(needs[path] for path in paths), min(free[path] for path in paths)
        if room < need:
            places = " and ".join(map(str, paths))
            return f"{places}: {need / GIB:.0f} GiB are needed and {room / GIB:.1f} are free"
    return None


def refuse_small_disk(needs: dict[Path, int]) -> None:
    """Fail before hours of work would fill the disk."""
    at = {path: existing(path) for path in needs}
    free = {path: shutil.disk_usage(folder).free for path, folder in at.items()}
    volume = {path: os.stat(folder).st_dev for path, folder in at.items()}  # noqa: PTH116
    if found := shortage(needs, free, volume):
        raise ClusterError(f"not enough disk at {found}: make room, then try again")
