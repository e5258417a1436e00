import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.unit.sample_app.conftest import Connect

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


class Collector:
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.spans: dict[str, Span] = {}
        self.services: set[str] = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
                for resource in request.resource_spans:
                    named = {entry.key: entry.value.string_value for entry in resource.resource.attributes}
                    collector.services.add(named["service.name"])
                    for scope in resource.scope_spans:
                        collector.spans |= {span.name: span for span in scope.spans}
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    made = Collector()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", made.url)
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


async def test_a_request_is_a_span_of_its_clients_trace_and_so_are_the_calls_it_makes(
    connect: Connect,
    collector: Collector,
    access_log: Callable[[], list[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    called: list[httpx.Headers] = []

    async def supplier(_self: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        called.append(request.headers)
        return httpx.Response(200, json={"price_cents": 1})

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", supplier)
    async with connect(tracing=True, supplier_urls=("http://a.example",)) as client:
        await client.get("/products/kettle-1l/offers", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
        await client.get("/health")
        await client.get("/products/moon")

    span = collector.spans["GET /products/{product}/offers"]
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert collector.spans["GET"].parent_span_id == span.span_id
    assert called[0]["traceparent"].split("-")[1] == TRACE
    assert set(collector.spans) == {"GET /products/{product}/offers", "GET", "GET /products/{product}"}
    assert collector.services == {"shop"}
    (line,) = [line for line in access_log() if line["path"].endswith("/offers")]
    assert line["trace_id"] == TRACE


def test_what_is_not_configured_is_not_imported() -> None:
    heavy = ["asyncpg", "redis", "httpx", "opentelemetry", "multiprocessing.popen_spawn_posix"]
    check = f"import sys, shop.app; print([name for name in {heavy} if name in sys.modules])"
    app = Path(__file__).parents[4] / "sample-app"

    assert subprocess.run([sys.executable, "-c", check], cwd=app, env={}, capture_output=True, check=True).stdout == (
        b"[]\n"
    )
