import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.eventually import eventually
from tests.integration.sample_app.server import Server, serving

MEBIBYTE = 1024 * 1024
SIZE = 256


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("streaming"), workers=1) as server:
        yield server


def peak_memory(server: Server) -> int:
    """The most that the worker ever held, in MiB."""
    (worker,) = server.workers()
    status = Path(f"/proc/{worker}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def test_a_download_takes_no_more_memory_than_its_pieces(server: Server) -> None:
    before = peak_memory(server)
    with server.http.stream("GET", f"/downloads?mebibytes={SIZE}", headers={"Accept-Encoding": "gzip, br"}) as response:
        received = sum(len(piece) for piece in response.iter_raw())

    assert received == SIZE * MEBIBYTE == int(response.headers["content-length"])
    assert "content-encoding" not in response.headers
    assert peak_memory(server) - before < SIZE / 8


def test_an_upload_takes_no_more_memory_than_its_pieces(server: Server) -> None:
    before = peak_memory(server)
    digest = hashlib.sha256()

    def pieces() -> Iterator[bytes]:
        for number in range(SIZE):
            piece = bytes([number]) * MEBIBYTE
            digest.update(piece)
            yield piece

    response = server.http.post("/uploads", content=pieces())

    assert response.status_code == 201
    assert response.json() == {"bytes": SIZE * MEBIBYTE, "sha256": digest.hexdigest()}
    assert peak_memory(server) - before < SIZE / 8


def test_a_slow_reader_is_waited_for_and_not_buffered_for(server: Server) -> None:
    (worker,) = server.workers()
    before = psutil.Process(worker).memory_info().rss
    with server.http.stream("GET", "/downloads?mebibytes=1024") as response:
        next(response.iter_raw())
        # Other clients are served meanwhile, and nothing of the rest is made.
        assert all(server.http.get("/products").status_code == 200 for _ in range(10))
        assert psutil.Process(worker).memory_info().rss - before < 64 * MEBIBYTE


@pytest.mark.parametrize(
    "head", ["Content-Length: 1000000\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"]
)
def test_a_client_that_hangs_up_is_no_error_of_the_shop(server: Server, head: str) -> None:
    def hung_up() -> float:
        return server.metric('http_requests_total{method="POST",route="/uploads",status="499"}')

    before = hung_up()
    with socket.create_connection((server.http.base_url.host, server.http.base_url.port or 80)) as connection:
        connection.sendall(f"POST /uploads HTTP/1.1\r\nHost: shop\r\n{head}".encode())
        eventually(lambda: server.metric("http_requests_in_flight") == 1)

    assert eventually(lambda: hung_up() == before + 1)
    assert server.metric("unexpected_errors_total") == 0
    assert "Traceback" not in server.log
