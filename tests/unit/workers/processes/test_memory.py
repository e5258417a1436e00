import os
import subprocess
import sys
from pathlib import Path

import pytest

from hca_workers.processes.memory import available_bytes, resident_bytes
from hca_workers.settings import MEBIBYTE

GROUPS_2 = {"memory.max": "500", "memory.current": "400", "memory.stat": "anon 300\ninactive_file 60\n"}
GROUPS_1 = {
    "memory/memory.limit_in_bytes": "500",
    "memory/memory.usage_in_bytes": "400",
    "memory/memory.stat": "inactive_file 10\ntotal_inactive_file 60\n",
}


@pytest.mark.parametrize("files", [GROUPS_2, GROUPS_1])
def test_what_is_left_ends_at_the_limit_of_the_container_and_files_that_are_cached_do_not_count(
    files: dict[str, str], tmp_path: Path
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content + "\n")
    assert available_bytes(tmp_path) == 160


def test_without_a_limit_what_is_left_is_that_of_the_machine(tmp_path: Path) -> None:
    for name, content in (GROUPS_2 | {"memory.max": "max"}).items():
        (tmp_path / name).write_text(content)
    assert available_bytes(tmp_path) > 16 * MEBIBYTE


def test_a_process_that_is_gone_holds_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert resident_bytes(process.pid) is None
    assert (resident_bytes(os.getpid()) or 0) > 2**20
