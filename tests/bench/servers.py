"""Servers that are started beside each other, each as its users start it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from dev.programs import program
from tests.eventually import eventually

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PM2 = "pm2@7.0.3"


@contextmanager
def started(command: Sequence[str], folder: Path, variables: Mapping[str, str]) -> Iterator[None]:
    """A server of an app in this folder, with its log in the other; it is stopped at the end."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=HERE, stdout=log, stderr=log, start_new_session=True,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(ROOT / "workers"), **variables},
        )  # fmt: skip
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def answering(command: Sequence[str], folder: Path, port: int, variables: Mapping[str, str]) -> Iterator[str]:
    """Such a server from its first answer on, by its URL."""
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return httpx.get(url, trust_env=False).status_code < 500
        except httpx.TransportError:
            return False

    with started(command, folder, variables):
        eventually(answers)
        yield url


def granian(app: str, port: int, workers: int, *options: str) -> list[str]:
    """The command that runs an app of this folder with Granian."""
    where = ["--port", str(port), "--workers", str(workers)]
    return [sys.executable, "-m", "granian", "--interface", "asgi", *where, *options, app]


def pm2(folder: Path, script: str, workers: int, *packages: str, **options: str) -> list[str]:
    """The command that runs a script of this folder with PM2, which is installed into the other with what it needs."""
    npm = program("npm")
    subprocess.run(
        [npm, "install", "--silent", "--prefix", folder, PM2, *packages], check=True, stdout=subprocess.DEVNULL
    )
    app = {"name": "app", "script": str(HERE / script), "exec_mode": "cluster", "instances": workers, **options}
    ecosystem = folder / "ecosystem.config.json"
    ecosystem.write_text(json.dumps({"apps": [app]}))
    return [str(folder / "node_modules" / ".bin" / "pm2-runtime"), "start", str(ecosystem)]
