"""PostgreSQL and Redis as Debian has them, on loopback ports and in folders of their own."""

import os
import pwd
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.control_plane import WATCHDOG, free_ports
from dev.programs import program
from tests.eventually import eventually


class RealServer:
    """A server that can be ended as in a crash, and started again on the same port with the same data."""

    def __init__(self, command: list[str], url: str, folder: Path, user: int, group: int) -> None:
        self._command = command
        self.url = url
        self._folder = folder
        self._user = user
        # It ends the group when this process ends, however that ends: no server outlives the tests.
        self._watchdog = subprocess.Popen(
            [sys.executable, "-c", WATCHDOG], stdin=subprocess.PIPE, process_group=0, cwd="/"
        )
        self._group = group
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, cwd=self._folder,
                user=self._user, group=self._group, extra_groups=[], process_group=self._watchdog.pid,
            )  # fmt: skip
        eventually(self._answers)

    def stop(self) -> None:
        """End it as at a failover: what is connected is cut off."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        self._process.wait(20)
        self._process = None

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log
        return "ready to accept connections" in self.log.lower()

    def end(self) -> None:
        os.killpg(self._watchdog.pid, signal.SIGKILL)
        for process in (self._process, self._watchdog):
            if process is not None:
                process.wait()
        assert self._watchdog.stdin is not None
        self._watchdog.stdin.close()


@contextmanager
def _folder() -> Iterator[tuple[Path, int, int]]:
    """A folder of an ordinary user: PostgreSQL refuses to be run by root."""
    root = os.geteuid() == 0
    user, group = (pwd.getpwnam("nobody")[2:4]) if root else (os.getuid(), os.getgid())
    # Not pytest's own, which only its user can enter.
    with tempfile.TemporaryDirectory(prefix="shop-tests-") as folder:
        if root:
            os.chown(folder, user, group)
        yield Path(folder), user, group


@contextmanager
def postgres(*, max_connections: int = 20) -> Iterator[RealServer]:
    initdb, server = program("initdb"), program("postgres")
    with _folder() as (folder, user, group):
        data = folder / "data"
        subprocess.run(
            [initdb, "--auth=trust", "--username=shop", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8", data],
            check=True, capture_output=True, cwd=folder, user=user, group=group, extra_groups=[],
        )  # fmt: skip
        (port,) = free_ports(1)
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": str(max_connections),
            "fsync": "off",
            "log_line_prefix": "",
        }
        options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
        command = [server, "-D", str(data), "-p", str(port), *options]
        yield from _running(RealServer(command, f"postgresql://shop@127.0.0.1:{port}/postgres", folder, user, group))


@contextmanager
def redis() -> Iterator[RealServer]:
    server = program("redis-server")
    with _folder() as (folder, user, group):
        (port,) = free_ports(1)
        command = [server, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder)]
        yield from _running(RealServer(command, f"redis://127.0.0.1:{port}/0", folder, user, group))


def _running(server: RealServer) -> Iterator[RealServer]:
    try:
        server.start()
        yield server
    finally:
        server.end()
