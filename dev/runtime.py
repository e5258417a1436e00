"""OCI runtime for a Docker daemon on a host without some capabilities.

A privileged container asks for every capability there is, and runc refuses the whole container when the host's
bounding set does not have one. This program takes what is missing out of the container's configuration, then becomes
runc. It runs once for each container and each `docker exec`: the standard library alone, and no imports of ours.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

# In the order of their bits in the kernel's masks.
CAPABILITIES = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"),
    *("LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER"),
    *("SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"),
    *("SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP"),
    *("MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF"),
    "CHECKPOINT_RESTORE",
)


def missing(status: str) -> set[str]:
    """Return the capabilities that the bounding set in a /proc/*/status text does not have."""
    mask = next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapBnd:")), -1)
    return {f"CAP_{name}" for bit, name in enumerate(CAPABILITIES) if not mask >> bit & 1}


def without(process: dict[str, Any], missing_here: set[str]) -> dict[str, Any]:
    """Return an OCI process that asks for nothing that the host does not have."""
    sets = process.get("capabilities") or {}
    process["capabilities"] = {name: [c for c in asked if c not in missing_here] for name, asked in sets.items()}
    if "CAP_SYS_RESOURCE" in missing_here and process.get("oomScoreAdj", 0) < 0:
        process["oomScoreAdj"] = 0  # lowering it needs that capability
    return process


def value_of(arguments: list[str], *options: str) -> str | None:
    """Return an option's value, written as `--option value` or `--option=value`."""
    for index, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in options:
            return value if equals else arguments[index + 1]
    return None


def main(arguments: list[str]) -> None:
    """Rewrite what runc is about to read, then become runc."""
    missing_here = missing(Path("/proc/self/status").read_text())
    if bundle := value_of(arguments, "--bundle", "-b"):
        path = Path(bundle, "config.json")
        config = json.loads(path.read_text())
        config["process"] = without(config["process"], missing_here)
        path.write_text(json.dumps(config))
    elif "exec" in arguments and (process := value_of(arguments, "--process", "-p")):
        Path(process).write_text(json.dumps(without(json.loads(Path(process).read_text()), missing_here)))
    os.execvp("runc", ["runc", *arguments])  # noqa: S606 - becoming another program is the point


if __name__ == "__main__":
    main(sys.argv[1:])
