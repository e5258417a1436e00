"""What each technique around a request costs: the app called in this process, with one of them left out at a time."""

import asyncio
import json
import logging.config
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from pathlib import Path
from statistics import quantiles
from typing import Any
from unittest.mock import patch

import pytest
import uvloop
from starlette.types import ASGIApp, Message

from shop.app import create_app
from shop.configuration.settings import Settings
from shop.edge import compression
from shop.http import request_id
from shop.observation.access_log import AccessLog
from shop.observation.requests import RequestRecorder
from shop.observation.tallies import RequestTally
from shop.overload.shedding import Shedding
from shop.workers.draining import Drain
from tests.bench import plain_shop
from tests.bench.record import record
from tests.bench.servers import ROOT
from tests.unit.sample_app.conftest import started

ROUNDS = 60
BATCHES = 80
BATCH = 8
TITLE = "What each technique of the sample app costs a hot request"
CONDITIONS = f"""
`/products` and a product, answered by the app without a server: {ROUNDS} rounds in which all take turns, each of
{BATCHES} times {BATCH} requests; the hundredth of them that was least disturbed, so ratios say more than times. A
technique's cost is what is saved where it is left out. Lines of requests are written to /dev/null.
""".strip()

LEFT_OUT: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "nothing": nullcontext,
    "line of the request": lambda: patch.object(AccessLog, "note", lambda *_: None),
    "metrics": lambda: patch.object(RequestTally, "note", lambda *_: None),
    "line, metrics and route": lambda: patch.object(RequestRecorder, "record", lambda *_: None),
    "request id": lambda: patch.object(request_id, "begin", lambda _: "0"),
    "load shedding": lambda: patch.object(Shedding, "refusal", lambda _: None),
    "draining": lambda: patch.object(Drain, "closes", lambda *_: False),
    "choice of compression": lambda: patch.object(compression, "is_worthwhile", lambda _: False),
}


async def batch(app: ASGIApp, path: str) -> float:
    """Microseconds for a request."""

    async def send(_message: Message) -> None:
        pass

    async def receive() -> Message:
        raise AssertionError("no request here has a body")

    begin = time.perf_counter()
    for _ in range(BATCH):
        scope = {
            "type": "http", "http_version": "1.1", "method": "GET", "path": path, "query_string": b"", "root_path": "",
            "scheme": "http", "server": ("127.0.0.1", 8000), "client": ("127.0.0.1", 4711),
            "headers": [(b"host", b"127.0.0.1:8000")],
        }  # fmt: skip
        await app(scope, receive, send)
    return (time.perf_counter() - begin) / BATCH * 1e6


async def costs(app: ASGIApp, path: str) -> dict[str, float]:
    """Microseconds for a request: of the plain app, of the shop behind its edge, of all with one technique left out."""
    shop: Any = app
    apps = {"plain Starlette": plain_shop.app, "shop": shop._app} | dict.fromkeys(LEFT_OUT, app)
    found: dict[str, list[float]] = {name: [] for name in apps}
    for _ in range(ROUNDS):
        for name, either in apps.items():
            with LEFT_OUT.get(name, nullcontext)():
                for _ in range(BATCHES):
                    found[name].append(await batch(either, path))
                    await asyncio.sleep(0)
    return {name: quantiles(times, n=100)[0] for name, times in found.items()}


@pytest.mark.timeout(900)
def test_what_each_technique_costs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    logging.config.dictConfig({"version": 1, **json.loads((ROOT / "sample-app/shop/logging.json").read_text())})

    async def measure() -> list[dict[str, float]]:
        app = create_app(Settings(shared_directory=tmp_path))
        async with started(app):
            return [await costs(app, path) for path in ("/products", "/products/apron-linen")]

    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        monkeypatch.setattr("shop.observation.access_log._STDOUT", nowhere.fileno())
        page, product = uvloop.run(measure())

    def row(what: str, *times: float) -> tuple[str, ...]:
        plain = (page["plain Starlette"], product["plain Starlette"])
        shown = [f"{us:.1f} µs ({us / base:.2f})" for us, base in zip(times, plain, strict=True)]
        return (what, *shown)

    rows = [
        row("plain Starlette, the whole request", page["plain Starlette"], product["plain Starlette"]),
        row("sample app, the whole request", page["nothing"], product["nothing"]),
        row("- its routes, cache and checks beside the plain app's", *(
            found["shop"] - found["plain Starlette"] for found in (page, product)
        )),
        row("- all around them (`edge`)", *(found["nothing"] - found["shop"] for found in (page, product))),
        *(
            row(f"  - {name}", *(found["nothing"] - found[name] for found in (page, product)))
            for name in LEFT_OUT if name != "nothing"
        ),
    ]  # fmt: skip
    columns = ("what", "/products", "/products/apron-linen")
    record(TITLE, ".venv/bin/pytest tests/bench/test_technique_costs.py", columns, rows, conditions=CONDITIONS)
