"""One query to a Prometheus that answers well, badly, slowly or not at all."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from dev.control_plane import free_ports
from hca_operator.core.errors import CannotStart
from hca_operator.metrics_server.prometheus import client as module
from hca_operator.metrics_server.prometheus.client import (
    LARGEST_NUMBER_BYTES,
    LARGEST_PODS_ANSWER_BYTES,
    Prometheus,
    QueryFailure,
    Result,
)
from hca_operator.metrics_server.prometheus.query_metrics import QueryMetrics
from hca_operator.metrics_server.serving.certificate import CertificateStep, take_step
from tests.unit.operator.metrics_server.prometheus.loopback_prometheus import (
    Answer,
    answer,
    broken_chunk,
    cut_off,
    drip_body,
    drip_headers,
    prometheus,
    reset,
    text,
)

SERIES = [{"metric": {}, "value": [1700000000.0, "7"]}]


class World:
    """A client and what it counts."""

    def __init__(self, port: int, secret: Path | None = None, scheme: str = "http", host: str = "127.0.0.1") -> None:
        self.registry = CollectorRegistry()
        metrics = QueryMetrics(self.registry)
        clock = asyncio.get_running_loop().time
        self.client = Prometheus(f"{scheme}://{host}:{port}/prom/", secret, metrics, clock)

    async def ask(self, read: Callable[[Result], object] = list) -> object:
        return await self.client.query("hca-concurrency", 'up{a="b c"}', read)

    def count(self, result: str) -> float | None:
        labels = {"kind": "hca-concurrency", "result": result}
        return self.registry.get_sample_value("hca_prometheus_queries_total", labels)


async def failure(answers: Answer) -> QueryFailure:
    """What comes of an answer, which is counted as that."""
    async with prometheus(answers) as served:
        world = World(served.port)
        with pytest.raises(QueryFailure) as failed:
            await world.ask()
        assert world.count(failed.value.result) == 1
        assert len(served.asked) == 1, "nothing is asked a second time, and no other address"
        return failed.value


async def test_a_query_is_asked_with_nothing_more_than_it_needs() -> None:
    async with prometheus(answer(SERIES)) as served:
        world = World(served.port)
        assert await world.ask() == SERIES
        (asked,) = served.asked
        assert asked.path == "/prom/api/v1/query"
        assert asked.query == {"query": ['up{a="b c"}'], "timeout": ["3s"]}
        assert not {"Authorization", "Cookie", "Proxy-Authorization"} & asked.headers.keys()
        assert world.count("answered") == 1


async def test_neither_proxies_nor_credentials_of_the_environment_are_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login another password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with prometheus(answer(SERIES)) as served:
        assert await World(served.port).ask() == SERIES
        assert "Authorization" not in served.asked[0].headers


async def test_credentials_are_those_of_the_secret_as_it_is_now(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with prometheus(answer(SERIES)) as served:
        world = World(served.port, tmp_path)
        (tmp_path / "username").write_text("reader\n")
        (tmp_path / "password").write_text("hush")
        await world.ask()
        (tmp_path / "token").write_text("first-token")
        await world.ask()
        (tmp_path / "token").write_text("second-token\n")
        await world.ask()
        sent = [asked.headers["Authorization"] for asked in served.asked]
    assert sent == ["Basic cmVhZGVyOmh1c2g=", "Bearer first-token", "Bearer second-token"]
    assert not [word for word in ("hush", "cmVhZGVyOmh1c2g=", "-token") if word in caplog.text]


async def test_fault_14_a_redirect_is_not_followed() -> None:
    async with prometheus(answer(SERIES)) as elsewhere:
        refused = await failure(text("", 307, f"Location: http://127.0.0.1:{elsewhere.port}/"))
        assert elsewhere.asked == []
    assert refused.result == "redirected"
    assert "set the chart value prometheus.url to where it leads" in str(refused)


@pytest.mark.parametrize("drip", [drip_headers, drip_body])
async def test_fault_14_an_answer_that_never_ends_is_cut_off_and_holds_no_thread(
    monkeypatch: pytest.MonkeyPatch, drip: Answer
) -> None:
    monkeypatch.setattr(module, "QUERY_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(module, "THREADS", 1)
    async with prometheus(drip) as served:
        world = World(served.port)
        for _ in range(2):  # the second would find no thread, and not even ask
            with pytest.raises(QueryFailure, match="gives no answer within"):
                await world.ask()
        await asyncio.gather(*(asked.ended.wait() for asked in served.asked))
        assert (len(served.asked), world.count("timeout")) == (2, 2)


@pytest.mark.parametrize(
    ("answers", "result", "why"),
    [
        (text("x" * (LARGEST_PODS_ANSWER_BYTES + 1)), "too_large", "more than 3 MiB"),
        (text("\x1f\x8b\x08", 200, "Content-Encoding: gzip"), "unreadable", "the answer is not from a Prometheus API"),
        (text("{}", 200, "Content-Encoding: gzip"), "unreadable", "the answer is not from a Prometheus API"),
        (text("[" * 10**6), "unreadable", "the answer is not from a Prometheus API"),
        (cut_off, "unreachable", "cannot be reached (ProtocolError)"),
        (reset, "unreachable", "cannot be reached (ProtocolError)"),
        (broken_chunk, "unreachable", "cannot be reached ("),
        (text('{"status":"error","error":"many\\nsamples"}', 422), "refused", "Prometheus answers 422: many samples"),
        (text("gateway", 502), "refused", "Prometheus answers 502: Scripted"),
        (text("<html>"), "unreadable", "the answer is not from a Prometheus API"),
        (text("[]"), "unreadable", "the answer is not from a Prometheus API"),
        (text('{"data": null}'), "unreadable", "the answer is not from a Prometheus API"),
        (answer(SERIES, warnings=["no store for half of it"]), "partial", "only in part: no store for half of it"),
    ],
    ids=[
        "large",
        "compressed",
        "compressed badly",
        "deep",
        "cut off",
        "reset",
        "chunk",
        "error",
        "gateway",
        "page",
        "list",
        "nothing",
        "warning",
    ],
)
async def test_fault_44_an_answer_that_is_none_is_reported_with_what_to_do(
    answers: Answer, result: str, why: str
) -> None:
    failed = await failure(answers)
    assert failed.result == result
    assert why in str(failed)


async def test_fault_44_an_answer_that_is_to_be_one_number_may_be_small_alone() -> None:
    async with prometheus(answer(SERIES * 2000)) as served:
        with pytest.raises(QueryFailure, match="more than 64 KiB") as failed:
            await World(served.port).client.query("hca-prometheus", "q", len, largest=LARGEST_NUMBER_BYTES)
        assert failed.value.of_the_query


async def test_what_prometheus_says_of_the_query_is_no_partial_answer() -> None:
    """It leaves out series that do not fit: one object's must not make those of others unknown."""
    said = answer(
        SERIES, warnings=["PromQL warning: a mix of histograms and floats"], infos=["PromQL info: no counter"]
    )
    async with prometheus(said) as served:
        assert await World(served.port).ask() == SERIES


async def test_where_no_server_listens_nothing_is_known() -> None:
    (port,) = free_ports(1)
    with pytest.raises(QueryFailure, match=r"cannot be reached \(ConnectionError\)"):
        await World(port).ask()


async def test_a_result_that_cannot_be_read_is_none() -> None:
    async with prometheus(answer([{}])) as served:
        with pytest.raises(QueryFailure, match="not from a Prometheus API"):
            await World(served.port).ask(lambda result: result[0]["metric"])


async def test_its_certificate_must_be_one_of_the_authority(tmp_path: Path) -> None:
    made = take_step(CertificateStep.BEGIN, None, ["localhost"], datetime.now(UTC))  # noqa: TID251 - by which TLS judges
    for name, content in (("cert", made.certificate), ("key", made.key)):
        (tmp_path / name).write_bytes(content)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    (tmp_path / "secret").mkdir()
    async with prometheus(answer(SERIES), context) as served:
        world = World(served.port, tmp_path / "secret", scheme="https", host="localhost")
        with pytest.raises(QueryFailure, match=r"is not trusted: put .* as ca\.crt"):
            await world.ask()
        (tmp_path / "secret" / "ca.crt").write_bytes(made.bundle)
        assert await world.ask() == SERIES


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "http://user:word@host", "http://host?query=up", "ftp://host", "host:9090", "http://", ""],
)
async def test_fault_14_an_address_that_is_none_or_holds_credentials_is_refused_unrepeated(url: str) -> None:
    with pytest.raises(CannotStart) as refused:
        Prometheus(url, None, QueryMetrics(CollectorRegistry()), lambda: 0)
    assert "the address of Prometheus must be http:// or https:// with a host" in str(refused.value)
    assert "word" not in str(refused.value)
