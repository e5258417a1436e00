"""The API external.metrics.k8s.io: what autoscalers and discovery ask for, answered from memory.

The only thing that an answer may wait for is the API server's word on what the caller may do, which is remembered. What
is not known is an error with a sentence, never a number: the autoscaler shows it in its condition and keeps the pods.
"""

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from http import HTTPStatus
from typing import Protocol

from aiohttp import web

from hca_operator.core.errors import HcaError
from hca_operator.core.names import API_LABEL, METRIC_LABEL, QUERY_METRIC, Manifest
from hca_operator.core.timestamps import time_text
from hca_operator.metrics_server.samples.signals import Reading
from hca_operator.metrics_server.serving.authentication import User
from hca_operator.metrics_server.serving.authorization import Access
from hca_operator.metrics_server.serving.telemetry import MetricsTelemetry
from hca_operator.telemetry import Check, probe

GROUP = "external.metrics.k8s.io"
VERSION = "v1beta1"
GROUP_VERSION = f"{GROUP}/{VERSION}"
SIGNALS = "signals"
"""A resource beside the metrics, which the operator alone may list."""
AT_ONCE = 20
"""Numbers that are put together until autoscalers are answered again: they have a few milliseconds each."""
MOST = 1e15
"""More than any API serves; a quantity has no room for a thousand times its square."""

_TERM = r"\s*{}\s*==?\s*([a-z0-9](?:[-a-z0-9]*[a-z0-9])?)\s*"
_API = _TERM.format(re.escape(API_LABEL))
_SELECTOR = re.compile(_API)
_SELECTOR_OF_QUERY = re.compile(f"{_API},{_TERM.format(re.escape(METRIC_LABEL))}")

_SERVED = {"groupVersion": GROUP_VERSION, "version": VERSION}
_GROUP_ENTRY = {"name": GROUP, "versions": [_SERVED], "preferredVersion": _SERVED}
GROUP_LIST = {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_GROUP_ENTRY]}
API_GROUP = {"kind": "APIGroup", "apiVersion": "v1", **_GROUP_ENTRY}
RESOURCE_LIST = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": GROUP_VERSION,
    # One that stands for all: kubectl and helm complain of an empty list, and discovery grows with one for each metric.
    "resources": [
        {
            "name": "externalmetrics",
            "singularName": "",
            "namespaced": True,
            "kind": "ExternalMetricValueList",
            "verbs": ["get"],
        }
    ],
}


class Readings(Protocol):
    """What is known."""

    def read(self, namespace: str, api: str, metric: str, now: datetime) -> Reading:
        """A metric of an API, of its queries `hca-prometheus/` and which one of them.

        Raises HcaError with a sentence that says why it is not known.
        """


class Callers(Protocol):
    """Who is at the other end."""

    def caller(self, request: web.Request) -> User | None:
        """Whom a request is made for, None where that is not proven."""


class Rights(Protocol):
    """What callers may."""

    async def allows(self, user: User, access: Access) -> bool:
        """Whether a user may. Raises HcaError where nobody can tell."""


class ExternalMetricsServer:
    """The handlers, and what they answer from."""

    def __init__(  # noqa: PLR0913 - what a test puts others in for
        self,
        readings: Readings,
        callers: Callers,
        rights: Rights,
        telemetry: MetricsTelemetry,
        now: Callable[[], datetime],
        *,
        signals: Callable[[datetime], Iterable[Manifest]] = lambda _now: (),
    ) -> None:
        """`signals`: the load of all objects that follow bursts."""
        self._signals_at = signals
        self._readings = readings
        self._callers = callers
        self._rights = rights
        self._telemetry = telemetry
        self._now = now

    def application(self, *, alive: Check, ready: Check) -> web.Application:
        """Everything that is served over TLS."""
        app = web.Application(middlewares=[self._as_status])
        for path, check in (("/healthz", alive), ("/livez", alive), ("/readyz", ready)):
            app.router.add_get(path, probe(check))
        for path, content in (
            ("/apis", GROUP_LIST),
            (f"/apis/{GROUP}", API_GROUP),
            (f"/apis/{GROUP_VERSION}", RESOURCE_LIST),
        ):
            app.router.add_get(path, self._discovery(content))
        app.router.add_get(f"/apis/{GROUP_VERSION}/namespaces/{{namespace}}/{{metric}}", self._value)
        app.router.add_get(f"/apis/{GROUP_VERSION}/{SIGNALS}", self._signals)
        return app

    @web.middleware
    async def _as_status(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Errors as Kubernetes writes them; every answer is counted."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = _status(HTTPStatus(error.status), error.text or error.reason)
        self._telemetry.observe_answer(response.status, loop.time() - started)
        return response

    def _discovery(self, content: Manifest) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            await self._admit(request, Access(request.path))
            return web.json_response(content)

        return answer

    async def _value(self, request: web.Request) -> web.Response:
        namespace, metric = request.match_info["namespace"], request.match_info["metric"]
        await self._admit(request, Access(request.path, namespace, GROUP, VERSION, metric))
        labels = selected(metric, request.query.getall("labelSelector", []))
        of = f"{metric}/{labels[METRIC_LABEL]}" if METRIC_LABEL in labels else metric
        try:
            reading = self._readings.read(namespace, labels[API_LABEL], of, self._now())
            item = value(metric, labels, reading)
        except HcaError as unknown:
            raise web.HTTPServiceUnavailable(text=str(unknown)) from unknown
        return web.json_response(
            {"kind": "ExternalMetricValueList", "apiVersion": GROUP_VERSION, "metadata": {}, "items": [item]}
        )

    async def _signals(self, request: web.Request) -> web.Response:
        """For the operator alone: many numbers at once, each second. Discovery does not show it."""
        await self._admit(request, Access(request.path, "", GROUP, VERSION, SIGNALS))
        items = []
        for item in self._signals_at(self._now()):
            items.append(item)
            if len(items) % AT_ONCE == 0:
                await asyncio.sleep(0)
        return web.json_response({"kind": "SignalList", "apiVersion": GROUP_VERSION, "metadata": {}, "items": items})

    async def _admit(self, request: web.Request, access: Access) -> None:
        user = self._callers.caller(request)
        if user is None:
            raise web.HTTPUnauthorized(text="ask through the API server, as kubectl get --raw does")
        try:
            allowed = await self._rights.allows(user, access)
        except HcaError as error:
            raise web.HTTPInternalServerError(text=f"what {user.name!r} may do is not known: {error}") from error
        if not allowed:
            raise web.HTTPForbidden(text=_refusal(user, access))


def selected(metric: str, selectors: list[str]) -> dict[str, str]:
    """The API that a request is about, and which of its queries where it is about one. Raises HTTPBadRequest."""
    keys = (API_LABEL, METRIC_LABEL) if metric == QUERY_METRIC else (API_LABEL,)
    pattern = _SELECTOR_OF_QUERY if metric == QUERY_METRIC else _SELECTOR
    match = pattern.fullmatch(selectors[0]) if len(selectors) == 1 else None
    if match is None:
        which = f", and {METRIC_LABEL}=METRIC, the name of one of its metrics" if metric == QUERY_METRIC else ""
        raise web.HTTPBadRequest(
            text=f"labelSelector must be {API_LABEL}=NAME, the name of one HighConcurrencyApi{which}, not "
            f"{','.join(selectors)!r}"
        )
    return dict(zip(keys, match.groups(), strict=True))


def value(metric: str, labels: dict[str, str], reading: Reading) -> Manifest:
    """An ExternalMetricValue. Raises HcaError for what is no number that an autoscaler could work with."""
    if not 0 <= reading.value < MOST:  # which NaN is not either
        raise HcaError(f"{metric} of {labels[API_LABEL]} is {reading.value}: it must be a number from 0 to {MOST:.0e}")
    return {
        "metricName": metric,
        "metricLabels": labels,
        "timestamp": time_text(reading.at),
        **({"window": math.ceil(reading.window)} if reading.window else {}),
        # Upwards, so that what is there is never told as nothing; what multiplying adds at the end is cut off first.
        "value": f"{math.ceil(round(reading.value * 1000, 6))}m",
    }


def _refusal(user: User, access: Access) -> str:
    if not access.resource:
        return f'User "{user.name}" cannot get path "{access.path}"'
    return (
        f'{access.resource}.{access.group} is forbidden: User "{user.name}" cannot list resource "{access.resource}" '
        f'in API group "{access.group}" in the namespace "{access.namespace}"'
    )


def _status(code: HTTPStatus, message: str) -> web.Response:
    reason = "InternalError" if code == HTTPStatus.INTERNAL_SERVER_ERROR else code.phrase.replace(" ", "")
    return web.json_response(
        {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "code": code.value,
        },
        status=code.value,
    )
