"""An API server that only answers GET, for what the client makes of an answer and what it asks for."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Asked(NamedTuple):
    """A GET: its path with the query, and the form and the encoding of the answer that it asks for."""

    path: str
    form: str
    encoding: str | None


@contextmanager
def api_server(answer: Callable[[str], object]) -> Iterator[tuple[str, list[Asked]]]:
    """A server that answers by the whole path of a request: its address, and what it was asked."""
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(Asked(self.path, self.headers["Accept"], self.headers["Accept-Encoding"]))
            found = answer(self.path)
            body = found if isinstance(found, bytes) else json.dumps(found).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
