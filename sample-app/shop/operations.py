"""What the platform asks: /health for probes, /metrics for Prometheus.

/health answers for the one worker that the connection reached and asks no database: a probe that
fails with a dependency takes all pods out of service at once and turns a slow hour into an outage.
"""

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shop.draining import Drain
from shop.metrics import Metrics
from shop.vitals import Vitals


def routes(metrics: Metrics, vitals: Vitals, drain: Drain) -> list[Route]:
    """Return the routes that are for the inside of the cluster."""

    async def health(_request: Request) -> Response:
        state = {
            "status": "draining" if drain.begun else "ok",
            "worker": vitals.worker,
            "rss_bytes": vitals.resident_memory,
            "event_loop_lag_seconds": round(vitals.loop_lag, 6),
            "uptime_seconds": round(vitals.uptime, 3),
        }
        return JSONResponse(state, 503 if drain.begun else 200)

    # Not async: Starlette runs it in a thread, off the event loop, since it reads files.
    def scrape(_request: Request) -> Response:
        # Starlette adds a second charset to text types given as media_type.
        return Response(metrics.exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [Route("/health", health), Route("/metrics", scrape)]
