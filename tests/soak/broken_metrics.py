"""An API whose metrics break when a file says so, and that serves on: `garbage` or `hang` in /tmp/metrics."""

import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FAULT = Path("/tmp/metrics")
served = 0


class Handler(BaseHTTPRequestHandler):
    """Answers everything; its own metrics vary."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Serve."""
        global served  # noqa: PLW0603 - the whole program's count
        body = b"ok\n"
        if self.path == "/metrics":
            fault = FAULT.read_text().strip() if FAULT.exists() else ""
            if fault == "hang":
                time.sleep(600)
            body = b"http_requests_total many\n" if fault == "garbage" else f"http_requests_total {served}\n".encode()
        elif self.path != "/health":
            served += 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Keeps connections waiting while the machine is busy, as other servers do."""

    request_queue_size = 1024


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    Server(("", int(os.environ.get("PORT", "8000"))), Handler).serve_forever()
