"""Objects with one pod each, which is nothing but its metrics: all of them at one address of the loopback interface."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from dev.control_plane import HOST
from hca_operator.core.names import API_LABEL
from tests.controlplane.api_server import ApiServer, Manifest, eventually
from tests.controlplane.objects import api

NAMESPACES = 20
REQUESTS_PER_SECOND = 10
METRICS = [
    {"name": "rps", "type": "RequestsPerSecond", "requestsPerSecond": {"targetPerPod": "50"}},
    {"name": "p95", "type": "Latency", "latency": {"percentile": 95, "target": "250ms"}},
]
_BOUNDS = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf")
_ROUTES = ("/health", "/metrics", "/products", "/products/{name}")
_HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n"
_GAUGES = "http_requests_in_flight 3\nevent_loop_lag_seconds 0.001\n"


class _Metrics(asyncio.Protocol):
    """Answers whatever is asked: it is only ever /metrics."""

    _transport: asyncio.Transport

    def __init__(self, connections: set[asyncio.Transport]) -> None:
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connections.add(transport)

    def connection_lost(self, _error: Exception | None) -> None:
        self._connections.discard(self._transport)

    def data_received(self, _data: bytes) -> None:
        served = int(REQUESTS_PER_SECOND * time.monotonic())
        series = [
            f'http_request_duration_seconds_bucket{{route="{route}",le="{bound}"}} {served}'
            for route in _ROUTES
            for bound in _BOUNDS
        ]
        body = "\n".join(["# TYPE http_request_duration_seconds histogram", *series, _GAUGES])
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self._transport.write((head + body).encode())
        self._transport.close()


class FakePods:
    """The objects so far, each with its pod."""

    def __init__(self, server: ApiServer, port: int) -> None:
        self._server = server
        self._port = port
        self._size = 0
        for number in range(NAMESPACES):
            server.create({"kind": "Namespace", "metadata": {"name": self.namespace(number)}})
        eventually(self._has_accounts)

    def grow(self, size: int) -> None:
        """Have that many."""
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(self._make, range(self._size, size)))
        self._size = size

    @staticmethod
    def name(number: int) -> str:
        return f"load-{number}"

    @staticmethod
    def namespace(number: int) -> str:
        return f"load-{number % NAMESPACES}"

    def _has_accounts(self) -> bool:
        """No pod may be made in a namespace before."""
        places = map(self.namespace, range(NAMESPACES))
        return all(self._server.get("ServiceAccount", place, "default") for place in places)

    def _make(self, number: int) -> None:
        namespace, name = self.namespace(number), self.name(number)
        scaling = {"metrics": METRICS}
        self._server.create(api(namespace, name, monitoring={"port": self._port}, autoscaling=scaling))
        pod: Manifest = {
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": {API_LABEL: name}},
            "spec": {"containers": [{"name": "api", "image": "registry.example.com/shop:1.4.2"}]},
        }
        self._server.create(pod)
        ready = [{"type": "Ready", "status": "True"}]
        status = {"phase": "Running", "podIP": HOST, "podIPs": [{"ip": HOST}], "conditions": ready}
        self._server.patch("Pod", namespace, f"{name}/status", {"status": status})


@contextmanager
def fake_pods(server: ApiServer) -> Iterator[FakePods]:
    """No objects yet; while the context lasts, the metrics of their pods are served."""
    connections: set[asyncio.Transport] = set()
    loop = asyncio.new_event_loop()
    serving = threading.Thread(target=loop.run_forever, daemon=True)
    serving.start()
    starting = loop.create_server(lambda: _Metrics(connections), HOST, 0, backlog=1024)
    listening = asyncio.run_coroutine_threadsafe(starting, loop).result()

    def end() -> None:
        listening.close()
        for transport in connections:
            transport.abort()
        loop.call_soon(loop.stop)

    try:
        yield FakePods(server, listening.sockets[0].getsockname()[1])
    finally:
        loop.call_soon_threadsafe(end)
        serving.join()
        loop.close()
