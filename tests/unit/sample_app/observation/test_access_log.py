import asyncio
import json
import logging
import os
from select import PIPE_BUF
from typing import Any

import pytest

from shop.observation import access_log
from shop.observation.access_log import AccessLog


def note(log: AccessLog, path: str) -> None:
    log.note({"client": None, "method": "GET", "path": path}, "/x", 200, 0.5)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> AccessLog:
    caplog.set_level(logging.INFO, logger="shop.access")
    return AccessLog()


async def read(descriptor: int, lines: int) -> list[Any]:
    text = b""
    while text.count(b"\n") < lines:
        text += await asyncio.to_thread(os.read, descriptor, 1_000_000)
    return [json.loads(line) for line in text.splitlines()]


async def test_the_loop_goes_on_while_stdout_is_not_read_and_no_line_is_lost(
    log: AccessLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    full = 0
    while True:
        try:
            full += os.write(writing, b"\n" * PIPE_BUF)
        except BlockingIOError:
            break
    os.set_blocking(writing, True)
    monkeypatch.setattr(access_log, "_STDOUT", writing)
    monkeypatch.setattr(access_log, "_INTERVAL_SECONDS", 0.001)
    async with asyncio.timeout(20), log.written():
        note(log, "/first")
        while log._lines:  # noqa: ASYNC110 - until the thread has it, and waits for a reader
            await asyncio.sleep(0.001)
        note(log, "/second")
        assert os.read(reading, full) == b"\n" * full
        found = await read(reading, 2)
    os.close(reading)
    os.close(writing)

    assert [line["path"] for line in found] == ["/first", "/second"]


async def test_a_line_is_never_in_two_writes_that_another_worker_could_come_between(
    log: AccessLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bytes] = []
    monkeypatch.setattr(os, "write", lambda _descriptor, piece: written.append(piece) or len(piece))  # type: ignore[func-returns-value]
    paths = ["/" + "x" * length for length in (10, 3000, 900, 900, 5000, 10, 10)]
    async with log.written():
        for path in paths:
            note(log, path)
    monkeypatch.undo()

    assert [json.loads(line)["path"] for piece in written for line in piece.splitlines()] == paths
    assert all(piece.endswith(b"\n") for piece in written)
    assert [piece.count(b"\n") for piece in written if len(piece) > PIPE_BUF] == [1], "longer than any write is whole"
    assert len(written) == 4


async def test_unread_lines_are_bounded_and_the_number_of_dropped_ones_is_logged(
    log: AccessLog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(access_log, "_MAX_LINES", 3)
    async with log.written():
        for number in range(5):
            note(log, f"/{number}")

    assert [json.loads(line)["path"] for line in capfd.readouterr().out.splitlines()] == ["/0", "/1", "/2"]
    assert [record.getMessage() for record in caplog.records] == [
        "2 lines of requests were dropped: stdout was not read"
    ]


async def test_a_level_above_info_leaves_no_line(
    log: AccessLog, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.WARNING, logger="shop.access")
    async with log.written():
        note(log, "/x")

    assert capfd.readouterr().out == ""
