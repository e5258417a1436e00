"""The workers of one server, which share its files."""

import os
import signal
from pathlib import Path

import httpx
import psutil

from tests.eventually import eventually
from tests.integration.sample_app.server import serving


def test_the_workers_of_one_server_see_each_others_orders(tmp_path: Path) -> None:
    with serving(tmp_path, workers=2) as server, httpx.Client(base_url=server.http.base_url) as client:
        cart = client.post("/carts").headers["location"]
        client.put(f"{cart}/items/kettle-1l", json={"quantity": 2})
        order = client.post(f"{cart}/order").headers["location"]

        assert {server.http.get(order).status_code for _ in range(10)} == {200}


def test_processes_end_with_a_killed_worker(tmp_path: Path) -> None:
    with serving(tmp_path, workers=1, SHOP_CPU_PROCESSES="1") as server:
        answer = server.http.get("/cpu?milliseconds=1").json()
        os.kill(answer["worker"], signal.SIGKILL)

        eventually(lambda: not psutil.pid_exists(answer["process"]))
        eventually(server.answering_workers)


def test_a_worker_that_ends_itself_is_replaced_without_a_lost_request(tmp_path: Path) -> None:
    with serving(tmp_path, workers=2) as server:
        ending = min(server.workers())
        os.kill(ending, signal.SIGTERM)
        statuses = set()

        def replaced() -> bool:
            try:
                statuses.add(server.http.get("/products").status_code)
            except (httpx.RemoteProtocolError, httpx.ReadError):
                # A connection that is made in the worker's last moment is closed unread, with a reset where the request
                # was there already, and the client may try again (RFC 9110, 9.2.2).
                statuses.add(server.http.get("/products").status_code)
            return ending not in server.workers() and len(server.workers()) == 2

        assert eventually(replaced)
        assert statuses == {200}
        eventually(lambda: server.answering_workers() == server.workers())
