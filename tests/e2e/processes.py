"""The processes inside a pod, as /proc there has them."""

from tests.e2e.cluster import Cluster


def worker_processes(cluster: Cluster, pod: str) -> list[int]:
    """Process ids of the workers: the children of the server's main process, which is the container's first."""
    listing = cluster.kubectl("exec", pod, "--", "sh", "-c", "cat /proc/[0-9]*/stat")
    found = []
    for line in listing.splitlines():
        identity, rest = line.split(" (", 1)
        command, state_and_parent = rest.rsplit(") ", 1)
        state, parent = state_and_parent.split()[:2]
        arguments = cluster.kubectl("exec", pod, "--", "sh", "-c", f"tr '\\0' ' ' < /proc/{identity}/cmdline || true")
        if parent == "1" and state != "Z" and command not in {"sh", "cat"} and "resource_tracker" not in arguments:
            found.append(int(identity))
    return found
