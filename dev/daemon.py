"""The Docker daemon: the one that is there, else one of our own that is ours to stop."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from dev import cache, debian, host, plan, runtime
from dev.steps import ClusterError, Step

PID_FILE = cache.HOME / "dockerd.pid"
LOG = cache.LOGS / "dockerd.log"
STARTS_WITHIN = 60.0
STOPS_WITHIN = 60.0
# Left behind by a daemon that was killed; a new one takes a recycled number in them for its predecessor.
OTHER_PID_FILES = {Path("/run/docker.pid"): "dockerd", Path("/run/docker/containerd/containerd.pid"): "containerd"}


def answers(step: Step) -> bool:
    """Tell whether an engine of Docker's answers the client."""
    return host.is_docker(host.docker_version(step) or "")


def running(pid_file: Path, program: str) -> int | None:
    """Return the process that a pid file names, unless it ended or the number now belongs to another program."""
    try:
        pid = int(pid_file.read_text())
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except (OSError, ValueError):
        return None
    return pid if is_running(status, program) else None


def is_running(status: str, program: str) -> bool:
    """Tell whether a /proc/*/status text is of a program that runs; a zombie has ended and waits for its parent."""
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return fields["Name"] == program and not fields["State"].startswith("Z")


def decide(step: Step) -> plan.EnginePlan:
    """Return what leads to an engine that answers, or say why nothing does."""
    return plan.engine(host.observe(plan.ENGINE), host.observe_engine(step))


def ensure(step: Step) -> None:
    """Have an engine that answers: install what is missing of it, and start it."""
    decided = decide(step)
    installed = ""
    if decided.packages:
        debian.install(step, decided.packages)
        installed = f"{step.note}, "
        decided = decide(step)  # where systemd runs, the package has started it
    if decided.start is plan.Start.SERVICE:
        _start_service(step)
    elif decided.start is plan.Start.DAEMON:
        _start_daemon(step)
    step.note = (
        installed
        + {
            plan.Start.NOT_NEEDED: "running",
            plan.Start.SERVICE: "started by systemd",
            plan.Start.DAEMON: f"started, its log is {LOG}",
        }[decided.start]
    )


def _start_service(step: Step) -> None:
    started = step.succeeds("systemctl", "start", "docker", timeout=STARTS_WITHIN)
    if not started or decide(step).start is not plan.Start.NOT_NEEDED:
        raise ClusterError("systemd could not start Docker: see `journalctl --unit docker`")


def _start_daemon(step: Step) -> None:
    if not (dockerd := shutil.which("dockerd")):
        raise ClusterError("Docker's package brought no dockerd: install Docker, then try again")
    _refuse_second_daemon()
    for path, program in OTHER_PID_FILES.items():
        if not running(path, program):
            path.unlink(missing_ok=True)
    _start(dockerd)
    decide(step)  # says so if the client cannot talk to it


def _refuse_second_daemon() -> None:
    for path in (PID_FILE, Path("/run/docker.pid")):
        if pid := running(path, "dockerd"):
            raise ClusterError(f"a Docker daemon runs (process {pid}) but does not answer: end it, then try again")


def _start(dockerd: str) -> None:
    PID_FILE.unlink(missing_ok=True)
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with LOG.open("wb") as log:
        # A session of its own: the daemon outlives the shell that asked for it.
        process = subprocess.Popen(
            [dockerd, f"--pidfile={PID_FILE}", *_runtime_options()],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + STARTS_WITHIN
    while host.ping(host.DOCKER_SOCKET) is not host.Socket.ANSWERS:
        if process.poll() is not None or time.monotonic() > deadline:
            process.terminate()
            why = reason(LOG.read_text(errors="replace"))
            raise ClusterError(f"Docker could not be started: {why} (the whole log is {LOG})")
        time.sleep(0.2)


def _runtime_options() -> list[str]:
    if not runtime.missing(Path("/proc/self/status").read_text()):
        return []
    program = cache.HOME / "runtime"
    interpreter = os.path.realpath(sys.executable)
    program.write_text(f"#!{interpreter} -IS\n{Path(runtime.__file__).read_text()}")
    program.chmod(0o755)
    return [f"--add-runtime=lacking={program}", "--default-runtime=lacking"]


def reason(log: str) -> str:
    """Return the line of a daemon's log that says why it ended."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    said = [line for line in lines if "failed to start daemon" in line or "level=fatal" in line]
    return (said or lines or ["it wrote nothing to its log"])[-1]


def stop() -> bool:
    """Stop the daemon if it is the one that we started, and tell whether it was."""
    pid = running(PID_FILE, "dockerd")
    if not pid:
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOPS_WITHIN
    while running(PID_FILE, "dockerd"):
        if time.monotonic() > deadline:
            raise ClusterError(f"the Docker daemon (process {pid}) does not stop: its log is {LOG}")
        time.sleep(0.1)
    return True
