"""Traces over OTLP, if OTEL_EXPORTER_OTLP_ENDPOINT is set.

Imported only then: the SDK needs more memory than the rest of the shop. A request with a `traceparent` becomes part of
that trace, calls to suppliers propagate it, and every log line of the request contains its id. OpenTelemetry reads
its other OTEL_* variables (name, sampling, headers) by itself.
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
    """The spans of one worker, sent in batches by a thread."""

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
        """Return the trace id of the current request, None outside of a trace."""
        context = trace.get_current_span().get_span_context()
        return trace.format_trace_id(context.trace_id) if context.is_valid else None

    def instrument(self, client: httpx.AsyncClient) -> None:
        """Add a span to each call of the client, and the trace to its headers."""
        HTTPXClientInstrumentor.instrument_client(client, tracer_provider=self._provider)

    @asynccontextmanager
    async def flushed_at_end(self) -> AsyncIterator[None]:
        """Add the trace id to log records; send the remaining spans at the end of the block."""
        before = logging.getLogRecordFactory()

        def record(*args: object, **fields: object) -> logging.LogRecord:
            created = before(*args, **fields)
            trace_id = self.trace_id()
            if trace_id is not None:
                created.trace_id = trace_id
            return created

        logging.setLogRecordFactory(record)
        try:
            yield
        finally:
            logging.setLogRecordFactory(before)
            # In a thread: it waits for the network, and the loop still has answers to finish.
            await asyncio.to_thread(self._provider.shutdown)


class _NamedByRoute:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def name_and_send(message: Message) -> None:
            # The route is known only now, and the span ends with the answer. Paths would be too many names.
            if message["type"] == "http.response.start" and "route" in scope:
                span, route = trace.get_current_span(), scope["route"].path
                span.update_name(f"{scope['method']} {route}")
                span.set_attribute("http.route", route)
            await send(message)

        await self._app(scope, receive, name_and_send)
