"""A real Envoy on the loopback interface, before an app that takes its time; both end with the block."""

import json
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import httpx

from dev import node_image
from dev.control_plane import HOST, free_ports
from dev.steps import Step
from tests.controlplane.api_server import eventually

TYPES = "type.googleapis.com/envoy.extensions.filters"
PAUSE = 0.05
"""Seconds between two requests of the load."""


class App(BaseHTTPRequestHandler):
    """Answers after a moment."""

    takes = 0.03

    def do_GET(self) -> None:
        time.sleep(self.takes)  # what requests do that are to be timed
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class LoopbackEnvoy:
    """Leads to the app by a cluster of that name in its statistics, as Contour has its Envoys do."""

    def __init__(self, cluster: str, folder: Path) -> None:
        self._program = node_image.fetch_envoy(Step("envoy", folder / "fetch.log"))
        self._config, self._log = folder / "envoy.json", folder / "envoy.log"
        self.port, self.admin_port = free_ports(2)
        self._app = ThreadingHTTPServer((HOST, 0), App)
        self._config.write_text(json.dumps(_config(cluster, self.port, self.admin_port, self._app.server_port)))
        self._process: subprocess.Popen[bytes] | None = None
        self._loaded = threading.Event()
        self._client: threading.Thread | None = None

    def __enter__(self) -> Self:
        threading.Thread(target=self._app.serve_forever, daemon=True).start()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end_load()
        self.kill()
        self._app.shutdown()
        self._app.server_close()

    def start(self) -> None:
        """Start Envoy, and wait until it serves."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "-c", self._config, "--concurrency", "1", "--use-dynamic-base-id", "-l", "warning"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        eventually(self._serves)

    def _serves(self) -> bool:
        try:
            return httpx.get(f"http://{HOST}:{self.admin_port}/ready", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """End Envoy, as a node that is lost does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def begin_load(self) -> None:
        """Have requests come, some each second, until `end_load`."""
        self._loaded.set()
        self._client = threading.Thread(target=self._load, daemon=True)
        self._client.start()

    def end_load(self) -> None:
        """Have none come any more, and the last one answered."""
        self._loaded.clear()
        if self._client is not None:
            self._client.join()

    def _load(self) -> None:
        with httpx.Client(base_url=f"http://{HOST}:{self.port}", trust_env=False) as client:
            while self._loaded.is_set():
                client.get("/")
                time.sleep(PAUSE)


def _config(cluster: str, port: int, admin_port: int, app_port: int) -> dict[str, Any]:
    router = {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{TYPES}.http.router.v3.Router"}}
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]
    manager = {
        "@type": f"{TYPES}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [router],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    listener = {"name": "in", "address": _address(port), "filter_chains": [{"filters": filters}]}
    endpoint = {"endpoint": {"address": _address(app_port)}}
    app = {
        "name": "app",
        "alt_stat_name": cluster,
        "type": "STATIC",
        "load_assignment": {"cluster_name": "app", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    return {
        "admin": {"address": _address(admin_port)},
        "static_resources": {"listeners": [listener], "clusters": [app]},
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": HOST, "port_value": port}}
