"""Traces over OTLP, where OTEL_EXPORTER_OTLP_ENDPOINT says to whom.

Imported only then: the SDK costs more memory than the rest of the shop. A request that comes with
a `traceparent` becomes part of that trace, calls to suppliers carry it on, and every log line of
the request names it. OpenTelemetry's own OTEL_* variables set the rest (name, sampling, headers).
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_NOT_TRACED = "health,metrics"


class Tracing:
    """Spans of one worker, sent in batches from a thread."""

    def __init__(self) -> None:
        resource = Resource({"service.name": "shop"}).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))

    def traced(self, app: ASGIApp) -> ASGIApp:
        """Return the app with a span around each request."""
        return OpenTelemetryMiddleware(
            _NamedByRoute(app),
            excluded_urls=_NOT_TRACED,
            tracer_provider=self._provider,
            exclude_spans=["receive", "send"],
        )

    def trace_id(self) -> str | None:
        """Return the trace of the request being served."""
        context = trace.get_current_span().get_span_context()
        return trace.format_trace_id(context.trace_id) if context.is_valid else None

    def instrument(self, client: httpx.AsyncClient) -> None:
        """Have a span for each call, and the trace in its headers."""
        HTTPXClientInstrumentor.instrument_client(client, tracer_provider=self._provider)

    @asynccontextmanager
    async def flushed_at_end(self) -> AsyncIterator[None]:
        """Name the trace in log lines; send what is left when the worker ends."""
        before = logging.getLogRecordFactory()

        def record(*args: object, **fields: object) -> logging.LogRecord:
            made = before(*args, **fields)
            trace_id = self.trace_id()
            if trace_id is not None:
                made.trace_id = trace_id
            return made

        logging.setLogRecordFactory(record)
        try:
            yield
        finally:
            logging.setLogRecordFactory(before)
            # It waits for the network, and the loop still has answers to finish.
            await asyncio.to_thread(self._provider.shutdown)


class _NamedByRoute:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def name_and_send(message: Message) -> None:
            # Known only now, and too late after the answer. The path would make a name for every product.
            if message["type"] == "http.response.start" and "route" in scope:
                span, route = trace.get_current_span(), scope["route"].path
                span.update_name(f"{scope['method']} {route}")
                span.set_attribute("http.route", route)
            await send(message)

        await self._app(scope, receive, name_and_send)
