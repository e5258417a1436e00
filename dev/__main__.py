"""`python -m dev`: the commands behind the Makefile."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - this runs before anything could have checked it
    sys.exit("Python 3.11 or newer is needed: name one with `make PYTHON=...`")

import argparse
import os
import shlex
import signal
from collections.abc import Callable

from dev import cache, daemon, debian, host, kind, path, programs, python, tools, up
from dev.steps import ClusterError, Step, Steps, say


def bring_down() -> None:
    """Remove the cluster, and stop Docker if it was started for it."""
    with cache.exclusive(say), Steps() as steps:
        steps.result(steps.start("cluster", _remove_cluster))
        steps.result(steps.start("docker", _stop_docker))


def _remove_cluster(step: Step) -> None:
    if daemon.answers(step):
        kind.delete(step)
    else:
        step.note = "Docker does not run, so there is none"


def _stop_docker(step: Step) -> None:
    step.note = "stopped" if daemon.stop() else "not started here, left alone"


def print_environment() -> None:
    """Print what a shell evaluates to have the cluster's programs first on its path."""
    if not all(tool.program().exists() for tool in tools.DEVELOPER):
        raise ClusterError("kubectl, helm and kind are not there yet: run `make up` first")
    say(f'export PATH={shlex.quote(str(path.FOLDER))}:"$PATH"')
    say(f"export KUBECONFIG={shlex.quote(str(cache.KUBECONFIG))}")


def create_environment() -> None:
    """Have the Python environment alone, and install no packages of the machine's for it."""
    if python.is_current(Step("python environment", cache.LOGS / "check-of-python-environment.log")):
        return
    debian.refuse_missing({})
    with cache.exclusive(say), Steps() as steps:
        steps.result(steps.start("python environment", python.create_environment))


def prepare_integration() -> None:
    """Have the Python environment, Docker and the servers that the integration tests start."""
    with up.engine_run() as run:
        run.steps.start("servers", programs.ensure, after=[run.docker])  # apt does one thing at a time


def lock() -> None:
    """Write the lock files anew."""
    create_environment()
    with cache.exclusive(say), Steps() as steps:
        steps.result(steps.start("locks", python.lock))


COMMANDS: dict[str, Callable[[], None]] = {
    "up": lambda: up.bring_up(example=True),
    "prepare": up.prepare,
    "machine": up.prepare_machine,
    "down": bring_down,
    "env": print_environment,
    "environment": create_environment,
    "integration": prepare_integration,
    "lock": lock,
}


def main() -> int:
    """Run one command; a failure is one sentence and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m dev", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a name need not be UTF-8
    os.environ["PATH"] += f":{host.ADMINISTRATORS_FOLDERS}"
    # Ended from outside is ended like Ctrl-C: with the commands that run at that moment.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        COMMANDS[parser.parse_args().command]()
    except ClusterError as failure:
        print(failure, file=sys.stderr)
        return 1
    except OSError as failure:  # the cache or the disk: full, read-only, not ours
        print(f"{failure.filename or cache.HOME}: {failure.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
