"""A real Prometheus, of Debian's package, with the configuration that the documents show.

That build cannot look for pods in Kubernetes, so a file lists what it would find there.
"""

import json
import shutil
import signal
import subprocess
from functools import partial
from pathlib import Path
from typing import Self

import httpx
import yaml

from dev import debian
from dev.cache import REPOSITORY
from dev.control_plane import HOST, free_ports
from dev.steps import Steps
from tests.controlplane.api_server import eventually

SHOWN = "<!-- a scrape configuration -->\n```yaml\n"


def shown_configuration() -> str:
    """The configuration in the documentation."""
    text = (REPOSITORY / "docs" / "autoscaling.md").read_text()
    return text.partition(SHOWN)[2].partition("```")[0]


class PrometheusProcess:
    """Started and ended as often as a test likes, with what it has stored."""

    def __init__(self, folder: Path) -> None:
        configuration = yaml.safe_load(shown_configuration())
        configuration["global"] = {"scrape_interval": "1s"}
        for job in configuration["scrape_configs"]:
            assert [found["role"] for found in job.pop("kubernetes_sd_configs")] == ["pod"]
            job["file_sd_configs"] = [{"files": [str(folder / "pods.json")], "refresh_interval": "1s"}]
        folder.mkdir()
        (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        self._folder = folder
        (self.port,) = free_ports(1)
        self.url = f"http://{HOST}:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def find(self, *pods: tuple[str, str], port: int) -> None:
        """Have it find these pods, by namespace and name, on the machine itself."""
        found = [
            {
                "targets": [f"{HOST}:{port}"],
                "labels": {"__meta_kubernetes_namespace": namespace, "__meta_kubernetes_pod_name": name},
            }
            for namespace, name in pods
        ]
        made = self._folder / "pods.new"
        made.write_text(json.dumps(found))
        made.rename(self._folder / "pods.json")

    def __enter__(self) -> Self:
        if not shutil.which("prometheus"):
            with Steps() as steps:
                steps.start("packages of prometheus", partial(debian.ensure, needed={"prometheus": "prometheus"}))
                steps.join()
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._process is not None:
            self.stop()

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["prometheus", f"--config.file={self._folder / 'prometheus.yml'}",
                 f"--storage.tsdb.path={self._folder / 'data'}", f"--web.listen-address={HOST}:{self.port}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            eventually(self._ready, within=60)
        except AssertionError:
            self.stop()
            raise

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        """End it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=60)
        self._process = None
