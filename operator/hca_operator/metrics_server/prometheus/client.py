"""One query to Prometheus: off the event loop, bounded in time and size, and trusted with no more than it needs."""

import asyncio
import io
import json
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import requests
from prometheus_api_client import PrometheusConnect

from hca_operator.core.errors import CannotStart, HcaError
from hca_operator.metrics_server.prometheus.connection import Line, LineAdapter
from hca_operator.metrics_server.prometheus.telemetry import PrometheusTelemetry

TIMEOUT = 3.0
"""Seconds for a whole answer, the connection included."""
LARGEST_BODY = 8 * 2**20
THREADS = 16
"""More than queries at a time: one whose name is being looked up cannot be cut."""
LONGEST_WORD = 200
"""Characters of Prometheus' own words that a sentence repeats."""

_ADDRESS = re.compile(r"https?://[^\s/?#@]+(/[^\s?#@]*)?")

T = TypeVar("T")
Result = Sequence[Any]
"""What a query comes to, as Prometheus' JSON has it: series, or the time and the value of a scalar."""


class Failure(HcaError):
    """Prometheus has told nothing; the sentence says why and what to do."""

    def __init__(self, result: str, message: str) -> None:
        super().__init__(message)
        self.result = result


class Access(NamedTuple):
    """With what a query is made."""

    headers: dict[str, str]
    auth: tuple[str, str] | None
    authority: str | None
    """File with the certificates to trust, None for those of the image."""


class Prometheus:
    """The Prometheus of the install."""

    def __init__(
        self, url: str, secret: Path | None, telemetry: PrometheusTelemetry, clock: Callable[[], float]
    ) -> None:
        """`secret`: folder with what the Secret holds. Raises CannotStart for an address that is none."""
        if not _ADDRESS.fullmatch(url):
            raise CannotStart(
                "the address of Prometheus must be http:// or https:// with a host, and no credentials or query: these "
                "go into the Secret of the chart value prometheus.secretName"
            )
        self._url = url.rstrip("/")
        self._secret = secret
        self._telemetry = telemetry
        self._clock = clock
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="prometheus")

    async def ask(self, kind: str, query: str, read: Callable[[Result], T]) -> T:
        """What `read`, which runs beside the event loop, makes of the result of a query. Raises Failure."""
        line, begun, result = Line(), self._clock(), "answered"
        try:
            async with asyncio.timeout(TIMEOUT):
                return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, query, read, line)
        except TimeoutError as error:
            result = "timeout"
            raise Failure(
                result, f"Prometheus gives no answer within {TIMEOUT:g} s: see how busy it is, or ask for fewer series"
            ) from error
        except Failure as failure:
            result = failure.result
            raise
        finally:
            line.cut()
            self._telemetry.observe(kind, result, self._clock() - begun)

    def _ask(self, query: str, read: Callable[[Result], T], line: Line) -> T:
        try:
            with requests.Session() as session:
                access = self._access()
                session.trust_env = False  # no proxy, no .netrc
                session.verify = access.authority or True
                session.hooks["response"].append(_take)
                client = PrometheusConnect(
                    self._url, headers=access.headers, auth=access.auth, session=session, timeout=TIMEOUT
                )
                session.mount(self._url, LineAdapter(line))  # in place of the client's own, which tries again and again
                return read(client.custom_query(query, params={"timeout": f"{TIMEOUT:g}s"}))
        except Failure:
            raise
        except requests.exceptions.SSLError as error:
            raise Failure(
                "unreachable",
                "the certificate of Prometheus is not trusted: put the one of its authority into the Secret of "
                "prometheus.secretName as ca.crt",
            ) from error
        except (LookupError, TypeError, ValueError) as error:
            raise _unreadable() from error
        except OSError as error:  # which all of requests' are
            raise Failure(
                "unreachable",
                f"Prometheus cannot be asked ({type(error).__name__}): see whether it runs, and the chart value "
                "prometheus.url",
            ) from error

    def _access(self) -> Access:
        """Read anew each time: a Secret may change."""
        token, user, password = (self._word(key) for key in ("token", "username", "password"))
        authority = None if self._secret is None else self._secret / "ca.crt"
        return Access(
            {"Authorization": f"Bearer {token}"} if token else {},
            (user, password or "") if user and not token else None,
            str(authority) if authority and authority.exists() else None,
        )

    def _word(self, key: str) -> str | None:
        file = None if self._secret is None else self._secret / key
        return file.read_text(encoding="utf-8").strip() if file and file.exists() else None


def _take(response: requests.Response, **_: Any) -> None:  # noqa: ANN401 - as requests calls it
    """Read an answer before the client does, within bounds. Raises Failure for any but a whole one."""
    with response.raw as answer:
        if 300 <= response.status_code < 400:
            raise Failure(
                "redirected", "Prometheus answers with a redirect: set the chart value prometheus.url to where it leads"
            )
        body = answer.read(LARGEST_BODY + 1, decode_content=True)
    if len(body) > LARGEST_BODY:
        raise Failure(
            "too_large", f"Prometheus answers with more than {LARGEST_BODY >> 20} MiB: have the query come to less"
        )
    told = _told(body)
    if response.status_code != 200:
        said = _few_words(told.get("error") or response.reason)
        raise Failure("refused", f"Prometheus answers {response.status_code}: {said}")
    # What it says of the query is about series that do not fit, which it leaves out: anybody may have some.
    if lacks := [said for said in told.get("warnings") or () if not str(said).startswith("PromQL ")]:
        raise Failure("partial", f"Prometheus tells only a part of it: {_few_words(lacks[0])}")
    response.raw = io.BytesIO(body)


def _told(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except ValueError:  # a UnicodeDecodeError is one
        return {}
    return told if isinstance(told, dict) else {}


def _few_words(said: object) -> str:
    return " ".join(str(said).split())[:LONGEST_WORD]


def _unreadable() -> Failure:
    return Failure(
        "unreadable",
        "what answers is no Prometheus: set the chart value prometheus.url to the address below which /api/v1/query is",
    )
