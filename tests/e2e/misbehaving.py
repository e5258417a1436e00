"""A server that answers 200 to everything, but for the one fault that its argument names. Pods run it from its text."""

import os
import signal
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

PORT = 8000
MEBIBYTE = 2**20
CACHED = 120 * MEBIBYTE
CLIENTS = 8
WARM_UP_SECONDS = 60
held: list[bytes] = []


class Handler(BaseHTTPRequestHandler):
    """Answers, and holds the memory that it is asked to hold."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Serve."""
        wanted = parse_qs(urlsplit(self.path).query).get("hold", [])
        held.extend(b"x" * (int(each) * MEBIBYTE) for each in wanted)
        self.answer(200)

    def answer(self, status: int, body: bytes = b"ok\n") -> None:
        """Send a whole answer."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class OneHost(Handler):
    """Knows one host, as frameworks with a list of allowed hosts do."""

    def do_GET(self) -> None:
        """Serve that host."""
        self.answer(200 if self.headers["Host"] == "hosts.localhost" else 400)


class OneAtATime(Handler):
    """Takes seconds for an answer, and gives no other one meanwhile."""

    turn = threading.Lock()

    def do_GET(self) -> None:
        """Serve, in turn."""
        with self.turn:
            time.sleep(4)
            self.answer(200)


class TellsItsMemory(Handler):
    """Shows what it holds, as Prometheus' clients do."""

    def do_GET(self) -> None:
        """Serve, and say so."""
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        self.answer(200, f"process_resident_memory_bytes {resident}\n".encode())


class Server(ThreadingHTTPServer):
    """Takes any number of clients."""

    daemon_threads = True
    request_queue_size = 128


def ask_without_end() -> None:
    """A client that is never content."""
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}/").read()
        except OSError:
            time.sleep(0.1)


def fill_page_cache() -> None:
    """Read a file again and again."""
    file = Path("/tmp/file")
    with file.open("wb") as writer:
        for _ in range(CACHED // MEBIBYTE):
            writer.write(b"x" * MEBIBYTE)
    while True:
        with file.open("rb") as reader:
            while reader.read(MEBIBYTE):
                pass
        time.sleep(1)


def warm_up() -> None:
    """Take a whole CPU for a while."""
    end = time.monotonic() + WARM_UP_SECONDS
    while time.monotonic() < end:
        pass


HANDLERS: Mapping[str, type[Handler]] = {
    "one-host": OneHost,
    "one-at-a-time": OneAtATime,
    "page-cache": TellsItsMemory,
}
BESIDE: Mapping[str, tuple[Callable[[], None], int]] = {
    "one-at-a-time": (ask_without_end, CLIENTS),
    "page-cache": (fill_page_cache, 1),
    "warm-up": (warm_up, 1),
}
"""What goes on beside the server, and how many times."""


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    fault = sys.argv[1] if len(sys.argv) > 1 else ""
    task, times = BESIDE.get(fault, (Handler, 0))
    for _ in range(times):
        threading.Thread(target=task, daemon=True).start()
    Server(("", PORT), HANDLERS.get(fault, Handler)).serve_forever()
