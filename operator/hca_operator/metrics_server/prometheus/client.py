"""Sends a query to Prometheus: in a thread, limited in time and size, with the credentials of the install's Secret."""

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import requests
from prometheus_api_client import PrometheusConnect
from urllib3.exceptions import HTTPError

from hca_operator.core.errors import CannotStart, HcaError
from hca_operator.metrics_server.prometheus.connection import CancellableAdapter, CancellableConnection
from hca_operator.metrics_server.prometheus.query_metrics import QueryMetrics
from hca_operator.metrics_server.samples.reading import Unknown

QUERY_TIMEOUT_SECONDS = 3.0
"""For a whole answer, the connection included."""
LARGEST_PODS_ANSWER_BYTES = 3 * 2**20
"""Of an answer about pods: parsed, it takes seven times as much memory, and parsing holds the GIL."""
LARGEST_NUMBER_BYTES = 2**16
"""Of an answer that has to be one number."""
READ_BYTES = 2**16
"""Bytes that are read at a time."""
THREADS = 16
"""More than queries run at a time, because a thread that resolves a host name cannot be cancelled."""
LONGEST_QUOTE = 200
"""Most characters of a message of Prometheus that an error quotes."""

_ADDRESS = re.compile(r"https?://[^\s/?#@]+(/[^\s?#@]*)?")

T = TypeVar("T")
Result = Sequence[Any]
"""The result of a query as in the JSON of Prometheus: a list of series, or time and value of a scalar."""


class QueryFailure(HcaError):
    """A query failed. The message says why and what to do.

    `result`: the label of the metric `hca_prometheus_queries_total`. `of_the_query`: whether a query about fewer
    objects might succeed.
    """

    def __init__(self, result: str, message: str, *, of_the_query: bool = False) -> None:
        super().__init__(message)
        self.result = result
        self.of_the_query = of_the_query


class QueryCredentials(NamedTuple):
    """The credentials of a query."""

    headers: dict[str, str]
    auth: tuple[str, str] | None
    authority: str | None
    """File with certificates of authorities; None for those of the container image."""


class Prometheus:
    """The Prometheus of the install."""

    def __init__(self, url: str, secret: Path | None, metrics: QueryMetrics, clock: Callable[[], float]) -> None:
        """`secret`: folder with the keys of the Secret. Raises CannotStart if the URL is malformed."""
        if not _ADDRESS.fullmatch(url):
            raise CannotStart(
                "the address of Prometheus must be http:// or https:// with a host, and no credentials or query: these "
                "go into the Secret of the chart value prometheus.secretName"
            )
        self._url = url.rstrip("/")
        self._secret = secret
        self._metrics = metrics
        self._clock = clock
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="prometheus")

    async def query(
        self, kind: str, promql: str, parse: Callable[[Result], T], *, largest: int = LARGEST_PODS_ANSWER_BYTES
    ) -> T:
        """Send a query; returns `parse` of its result. Raises QueryFailure.

        `kind`: label of the metrics. `parse` runs in a thread. `largest`: most bytes of an answer.
        """
        connection, started, result = CancellableConnection(), self._clock(), "answered"
        try:
            async with asyncio.timeout(QUERY_TIMEOUT_SECONDS):
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(self._threads, self._query, promql, parse, connection, largest)
        except TimeoutError as error:
            result = "timeout"
            raise QueryFailure(
                result,
                f"Prometheus gives no answer within {QUERY_TIMEOUT_SECONDS:g} s: check its load, or query fewer series",
            ) from error
        except QueryFailure as failure:
            result = failure.result
            raise
        finally:
            connection.cancel()
            self._metrics.observe(kind, result, self._clock() - started)

    def _query(self, promql: str, parse: Callable[[Result], T], connection: CancellableConnection, largest: int) -> T:
        try:
            with _FormSession() as session:
                access = self._access()
                session.trust_env = False  # no proxy, no .netrc
                session.verify = access.authority or True
                # What is small when compressed may be of any size afterwards.
                session.headers["Accept-Encoding"] = "identity"
                session.hooks["response"].append(partial(_read_within_limits, largest))
                client = PrometheusConnect(
                    self._url, headers=access.headers, auth=access.auth, session=session, timeout=QUERY_TIMEOUT_SECONDS
                )
                session.mount(self._url, CancellableAdapter(connection))  # in place of the client's own, which retries
                return parse(client.custom_query(promql, params={"timeout": f"{QUERY_TIMEOUT_SECONDS:g}s"}))
        except (QueryFailure, Unknown):
            raise
        except requests.exceptions.SSLError as error:
            raise QueryFailure(
                "unreachable",
                "the certificate of Prometheus is not trusted: put the certificate of its authority as ca.crt into the "
                "Secret of the chart value prometheus.secretName",
            ) from error
        except (OSError, HTTPError) as error:  # OSError is the base of all errors of requests
            raise QueryFailure(
                "unreachable",
                f"Prometheus cannot be reached ({type(error).__name__}): check that it runs, and the chart value "
                "prometheus.url",
            ) from error
        except Exception as error:  # no answer may end more than its query
            raise _unreadable() from error

    def _access(self) -> QueryCredentials:
        """Read for each query: the Secret may change."""
        token, user, password = (self._secret_value(key) for key in ("token", "username", "password"))
        authority = None if self._secret is None else self._secret / "ca.crt"
        return QueryCredentials(
            {"Authorization": f"Bearer {token}"} if token else {},
            (user, password or "") if user and not token else None,
            str(authority) if authority and authority.exists() else None,
        )

    def _secret_value(self, key: str) -> str | None:
        file = None if self._secret is None else self._secret / key
        return file.read_text(encoding="utf-8").strip() if file and file.exists() else None


class _FormSession(requests.Session):
    """Sends the parameters as a form: the client would put them into the URL, which proxies limit to a few KiB."""

    def request(  # type: ignore[override]
        self,
        method: str,  # noqa: ARG002 - the client's
        url: str,
        *,
        params: dict[str, str],
        **more: Any,  # noqa: ANN401 - passed on
    ) -> requests.Response:
        """POST the parameters."""
        return super().request("POST", url, data=params, **more)


def _read_within_limits(largest: int, response: requests.Response, **_: Any) -> None:  # noqa: ANN401 - as requests calls it
    """Read an answer within the limits, before the client does. Raises QueryFailure unless it is complete."""
    with response.raw as raw:
        if 300 <= response.status_code < 400:
            raise QueryFailure(
                "redirected", "Prometheus answers with a redirect: set the chart value prometheus.url to where it leads"
            )
        body = b""
        while len(body) <= largest and (more := raw.read(READ_BYTES, decode_content=False)):
            body += more
    if len(body) > largest:
        limit = f"{largest >> 20} MiB" if largest >= 2**20 else f"{largest >> 10} KiB"
        raise QueryFailure(
            "too_large",
            f"Prometheus answers with more than {limit}: have the query return less, for example fewer buckets",
            of_the_query=True,
        )
    answer = _json_object(body)
    if response.status_code != 200:
        said = _quote(answer.get("error") or response.reason)
        raise QueryFailure(
            "refused",
            f"Prometheus answers {response.status_code}: {said}",
            of_the_query=response.status_code in {400, 413, 422},
        )
    # A warning that begins with "PromQL" is about series that do not fit the query and are left out: any team may have
    # such series.
    if missing := [said for said in answer.get("warnings") or () if not str(said).startswith("PromQL ")]:
        raise QueryFailure("partial", f"Prometheus answers only in part: {_quote(missing[0])}")
    # So that the client does not parse it again.
    response.json = lambda **_: answer  # type: ignore[method-assign]


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:  # a UnicodeDecodeError is one
        return {}
    return answer if isinstance(answer, dict) else {}


def _quote(said: object) -> str:
    return " ".join(str(said).split())[:LONGEST_QUOTE]


def _unreadable() -> QueryFailure:
    return QueryFailure(
        "unreadable",
        "the answer is not from a Prometheus API: set the chart value prometheus.url to the URL before /api/v1/query",
    )
