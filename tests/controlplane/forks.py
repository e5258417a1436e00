"""Python programs that need not import again what the one before them has imported.

Imports are nine tenths of the processor time that an operator takes to start, and the tests start it some 200 times.
"""

import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver, get_context
from pathlib import Path
from unittest.mock import patch

from kubernetes.aio.config import kube_config

_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__, "hca_operator.controller.process", "hca_operator.metrics_server.process"])


class Fork:
    """`python -m`, in a fork of a process that has imported the operator and done no more; otherwise as Popen."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        # The imports take place in a process of their own, which Python before 3.13 does not tell where modules are.
        with patch.dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)):
            forkserver.ensure_running()
        self._process = _CONTEXT.Process(target=_run, args=(command, dict(environment), log), daemon=True)
        self._process.start()

    @property
    def pid(self) -> int:
        """Process id."""
        assert self._process.pid is not None
        return self._process.pid

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def poll(self) -> int | None:
        """The code with which it ended, None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the code with which it ends."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(str(self._process), timeout or 0)
        return self._process.exitcode


def _run(command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
    module, *arguments = command
    os.environ.clear()
    os.environ.update(environment)
    kube_config.KUBE_CONFIG_DEFAULT_LOCATION = environment["KUBECONFIG"]  # which it had read when it was imported
    with log.open("ab") as opened:
        for standard in (1, 2):
            os.dup2(opened.fileno(), standard)
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)
