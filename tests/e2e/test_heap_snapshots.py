"""What leaks is found: heap snapshots on request and at the threshold, by the commands of docs/memory.md."""

import os
import re
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.cache import REPOSITORY
from tests.e2e.cluster import Cluster
from tests.e2e.journeys import leak, pods

NAME = "heaps"
MEBIBYTE = 1024**2
THRESHOLD = 232 * MEBIBYTE
"""Half of what the worker may have: 512 MiB less 48 for the server's main process."""
ASK, LOOK = re.findall(
    r"```sh\n(.*?)```", (REPOSITORY / "docs" / "memory.md").read_text().partition("## Looking for")[2], re.DOTALL
)


@pytest.fixture
def pod(cluster: Cluster) -> Iterator[str]:
    """The one pod of the example, which has one worker."""
    cluster.kubectl("apply", "-f", REPOSITORY / "examples" / "heap-snapshots.yaml")
    cluster.wait_ready(NAME)
    cluster.until(lambda: len(pods(cluster, NAME)) == 1, "there is one pod")
    yield pods(cluster, NAME)[0]
    cluster.kubectl("delete", "hcapi", NAME, "--wait=false")


def kept(cluster: Cluster, pod: str) -> list[str]:
    names = cluster.kubectl("exec", pod, "--", "ls", "/heap-snapshots").split()
    return sorted(name for name in names if name.endswith(".tracemalloc"))


@pytest.mark.timeout(600)
def test_heap_snapshots_on_request_and_at_the_threshold_of_which_five_are_kept_and_outlive_the_container(
    cluster: Cluster, pod: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(cluster.kubectl_program).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))

    seen: set[str] = set()
    for number in range(6):
        cluster.run("bash", "-ec", ASK)
        cluster.until(lambda: bool(set(kept(cluster, pod)) - seen), f"snapshot {number + 1} is there")
        seen.update(kept(cluster, pod))
    assert len(seen) == 6
    assert kept(cluster, pod) == sorted(seen)[1:]

    leak(cluster, pod, until=THRESHOLD + MEBIBYTE)
    cluster.until(lambda: bool(set(kept(cluster, pod)) - seen), "one is written at the threshold")
    said = cluster.run("bash", "-ec", f"{ASK.splitlines()[0]}\n{LOOK}")
    assert "rehearsal.py" in said, "the leak is the first thing that the documents' command shows"
    newest = max(Path("heaps").glob("*.tracemalloc"))
    assert tracemalloc.Snapshot.load(str(newest)).statistics("lineno")[0].size > THRESHOLD / 2

    before = kept(cluster, pod)
    assert len(before) == 5
    (container,) = cluster.get("pod", pod)["status"]["containerStatuses"]
    assert container["restartCount"] == 0, "the kernel has ended nothing for it"
    cluster.kubectl("exec", pod, "--", "sh", "-c", "kill 1")
    cluster.until(lambda: _restarted(cluster, pod), "the container runs again")
    assert kept(cluster, pod) == before


def _restarted(cluster: Cluster, pod: str) -> bool:
    (container,) = cluster.get("pod", pod)["status"]["containerStatuses"]
    return bool(container["restartCount"] == 1 and container["ready"])
