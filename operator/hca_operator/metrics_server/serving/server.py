"""The API external.metrics.k8s.io: answers HorizontalPodAutoscalers and discovery from memory.

An answer waits only for the SubjectAccessReview of the caller, which is cached. A metric without a value is an error
with the reason, never a number: the HorizontalPodAutoscaler shows it in its condition and keeps the pods.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from http import HTTPStatus
from typing import Protocol

from aiohttp import web

from hca_operator.api.metric_types import METRIC_TYPES, external_metric
from hca_operator.core.errors import HcaError
from hca_operator.core.names import API_LABEL, METRIC_LABEL, Manifest
from hca_operator.metrics_server.samples.reading import Readings
from hca_operator.metrics_server.serving.authentication import User
from hca_operator.metrics_server.serving.authorization import Access
from hca_operator.metrics_server.serving.server_metrics import ServerMetrics
from hca_operator.metrics_server.serving.values import external_metric_value
from hca_operator.telemetry.probes import Check, probe

SERVED_GROUP = "external.metrics.k8s.io"
SERVED_VERSION = "v1beta1"
GROUP_VERSION = f"{SERVED_GROUP}/{SERVED_VERSION}"
SIGNALS = "signals"
"""A resource with the load of all objects with bursts, which only the operator may list."""
SIGNALS_AT_A_TIME = 20
"""Signals that are computed before other requests are answered again."""

_TERM = r"\s*{}\s*==?\s*([a-z0-9](?:[-a-z0-9]*[a-z0-9])?)\s*"
_SELECTORS = {
    labels: re.compile(",".join(_TERM.format(re.escape(label)) for label in labels))
    for labels in {metric.labels for metric in METRIC_TYPES}
}
"""The label selectors that a request may have, by the labels that they contain."""

_SERVED = {"groupVersion": GROUP_VERSION, "version": SERVED_VERSION}
_GROUP_ENTRY = {"name": SERVED_GROUP, "versions": [_SERVED], "preferredVersion": _SERVED}
GROUP_LIST = {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_GROUP_ENTRY]}
API_GROUP = {"kind": "APIGroup", "apiVersion": "v1", **_GROUP_ENTRY}
RESOURCE_LIST = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": GROUP_VERSION,
    # One resource for all metrics: kubectl and helm report an error for an empty list, and one per metric is too many.
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


class Callers(Protocol):
    """Authenticates requests."""

    def caller(self, request: web.Request) -> User | None:
        """The authenticated user of a request; None if it is not from kube-apiserver."""


class Rights(Protocol):
    """Authorizes requests."""

    async def allows(self, user: User, access: Access) -> bool:
        """Whether a user is allowed this access. Raises HcaError if the review fails."""


class ExternalMetricsServer:
    """The HTTP handlers."""

    def __init__(  # noqa: PLR0913 - what a test replaces
        self,
        readings: Readings,
        callers: Callers,
        rights: Rights,
        metrics: ServerMetrics,
        now: Callable[[], datetime],
        *,
        signals: Callable[[datetime], Iterable[Manifest]] = lambda _now: (),
    ) -> None:
        """`signals`: the load of all objects with bursts."""
        self._signals_at = signals
        self._readings = readings
        self._callers = callers
        self._rights = rights
        self._metrics = metrics
        self._now = now

    def application(self, *, alive: Check, ready: Check) -> web.Application:
        """The application that is served over TLS. `alive` and `ready` are the checks of /healthz and /readyz."""
        app = web.Application(middlewares=[self._as_status])
        for path, check in (("/healthz", alive), ("/livez", alive), ("/readyz", ready)):
            app.router.add_get(path, probe(check))
        for path, content in (
            ("/apis", GROUP_LIST),
            (f"/apis/{SERVED_GROUP}", API_GROUP),
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
        """Turn errors into a Status of Kubernetes, and count every answer."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = _status(HTTPStatus(error.status), error.text or error.reason)
        self._metrics.observe_answer(response.status, loop.time() - started)
        return response

    def _discovery(self, content: Manifest) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            await self._admit(request, Access(request.path))
            return web.json_response(content)

        return answer

    async def _value(self, request: web.Request) -> web.Response:
        namespace, metric = request.match_info["namespace"], request.match_info["metric"]
        await self._admit(request, Access(request.path, namespace, SERVED_GROUP, SERVED_VERSION, metric))
        labels = selected(metric, request.query.getall("labelSelector", []))
        of = f"{metric}/{labels[METRIC_LABEL]}" if METRIC_LABEL in labels else metric
        try:
            reading = self._readings.read(namespace, labels[API_LABEL], of, self._now())
            item = external_metric_value(metric, labels, reading)
        except HcaError as unknown:
            raise web.HTTPServiceUnavailable(text=str(unknown)) from unknown
        return web.json_response(
            {"kind": "ExternalMetricValueList", "apiVersion": GROUP_VERSION, "metadata": {}, "items": [item]}
        )

    async def _signals(self, request: web.Request) -> web.Response:
        """All signals at once, which the operator requests each second. Discovery does not show this resource."""
        await self._admit(request, Access(request.path, "", SERVED_GROUP, SERVED_VERSION, SIGNALS))
        items = []
        for item in self._signals_at(self._now()):
            items.append(item)
            if len(items) % SIGNALS_AT_A_TIME == 0:
                await asyncio.sleep(0)
        return web.json_response({"kind": "SignalList", "apiVersion": GROUP_VERSION, "metadata": {}, "items": items})

    async def _admit(self, request: web.Request, access: Access) -> None:
        user = self._callers.caller(request)
        if user is None:
            raise web.HTTPUnauthorized(text="send requests through the API server, as kubectl get --raw does")
        try:
            allowed = await self._rights.allows(user, access)
        except HcaError as error:
            raise web.HTTPInternalServerError(text=f"the rights of {user.name!r} are unknown: {error}") from error
        if not allowed:
            raise web.HTTPForbidden(text=_refusal(user, access))


def selected(metric: str, selectors: list[str]) -> dict[str, str]:
    """The labels that a request selects: the object and, for type Prometheus, its metric. Raises HTTPBadRequest."""
    asked = external_metric(metric)
    labels = asked.type.labels if asked else (API_LABEL,)
    match = _SELECTORS[labels].fullmatch(selectors[0]) if len(selectors) == 1 else None
    if match is None:
        which = f", and {METRIC_LABEL}=METRIC, the name of one of its metrics" if METRIC_LABEL in labels else ""
        raise web.HTTPBadRequest(
            text=f"labelSelector must be {API_LABEL}=NAME, the name of one HighConcurrencyApi{which}, not "
            f"{','.join(selectors)!r}"
        )
    return dict(zip(labels, match.groups(), strict=True))


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
