"""The operator as a process of its own, as it runs in the cluster."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import httpx

from dev.cache import REPOSITORY
from dev.control_plane import HOST, free_ports
from tests.controlplane.api_server import eventually
from tests.controlplane.forks import Fork

PROBES = httpx.Client(timeout=5, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))
"""One for all: a new client takes a hundred times what a request does, and each start is waited for with many."""


class OperatorProcess:
    """`python -m hca_operator run` against a kubeconfig, started and ended as often as a test likes."""

    def __init__(
        self,
        kubeconfig: Path,
        log: Path,
        *,
        identity: str = "only-one",
        lease_namespace: str = "default",
        options: Sequence[str] = (),
        forked: bool = True,
    ) -> None:
        """`forked`: False where its memory or the time of its start is measured."""
        self._kubeconfig = kubeconfig
        self._options = ["--identity", identity, "--lease-namespace", lease_namespace, *options]
        self._log = log
        (self._port,) = free_ports(1)
        self._forked = forked
        self._process: subprocess.Popen[bytes] | Fork | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._process is not None:
            self.stop()

    def start(self, *, wait: bool = True) -> None:
        """Start it and, by default, wait until it watches everything."""
        environment = {
            "KUBECONFIG": str(self._kubeconfig),
            "PYTHONPATH": f"{REPOSITORY / 'operator'}:{REPOSITORY}",
            "PATH": os.environ["PATH"],
        }
        if self._forked:
            self._process = Fork(self._command(), environment, self._log)
        else:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", *self._command()],
                    env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                )  # fmt: skip
        if wait:
            eventually(lambda: self.probe("readyz") == 200)

    def _command(self) -> Sequence[str]:
        return ["hca_operator", "run", "--port", str(self._port), *self._options]

    def stop(self) -> None:
        """End it as Kubernetes does; it must go in time and without complaint."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(timeout=20)
        self._process = None
        assert code == 0, f"ended with {code}: {self._log.read_text()[-2000:]}"

    def kill(self) -> None:
        """End it as a power cut does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def end(self) -> None:
        """End it however it is, at the end of a test that may have failed."""
        if self._process is not None:
            self.kill()

    def restart_if_ended(self) -> None:
        """Start it again where it ended by itself."""
        assert self._process is not None
        if self._process.poll() is not None:
            self.start(wait=False)

    def ended(self, *, within: float) -> int:
        """The code with which it ends by itself."""
        assert self._process is not None
        code = self._process.wait(timeout=within)
        self._process = None
        return code

    @property
    def pid(self) -> int:
        """Process id while it runs."""
        assert self._process is not None
        return self._process.pid

    def _get(self, path: str) -> httpx.Response:
        return PROBES.get(f"http://{HOST}:{self._port}/{path}")

    def probe(self, path: str) -> int:
        """HTTP status of a probe, 0 while it does not answer."""
        try:
            return self._get(path).status_code
        except httpx.TransportError:
            return 0

    def answer(self, path: str) -> str:
        """What a probe says, empty while it does not answer."""
        try:
            return self._get(path).text
        except httpx.TransportError:
            return ""

    def metrics(self) -> str:
        """What /metrics shows."""
        return self._get("metrics").text

    def looks(self) -> float:
        """How many reconciles have ended since it was started."""
        lines = [line for line in self.metrics().splitlines() if line.startswith("hca_reconciles_total{")]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    def log(self) -> list[dict[str, Any]]:
        """Its log so far; each line must be JSON."""
        return [json.loads(line) for line in self._log.read_text().splitlines()]
