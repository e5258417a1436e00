"""Routes for operations: /health for probes, /metrics for Prometheus, /openapi.json for developers.

/health answers for the worker that the connection reached, and lists the heartbeats of all. It does not query the
database: a probe that fails with a dependency takes all pods out of service at once. Load does not make it fail either
(see `shedding`). A worker without heartbeats is listed and does not make the others unhealthy: its `watchdog` or its
`siblings` end it.
"""

import asyncio
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shop.configuration.live_settings import LiveSettings
from shop.observation.metrics import Metrics
from shop.overload.error_budget import Recycling
from shop.overload.vitals import Vitals
from shop.workers.draining import Drain
from shop.workers.heartbeats import Heartbeats


def routes(  # noqa: PLR0913 - everything that /health reports
    metrics: Metrics, vitals: Vitals, heartbeats: Heartbeats, drain: Drain, recycling: Recycling, *, live: LiveSettings
) -> list[Route]:
    """Return the routes that only the cluster should reach."""
    document = Path(__file__).with_name("openapi.json").read_bytes()

    async def health(_request: Request) -> Response:
        status = "recycling" if recycling.begun else "draining" if drain.begun else "ok"
        ages = sorted(heartbeats.ages().items())
        state = {
            "status": status,
            "worker": vitals.worker,
            "rss_bytes": vitals.resident_memory,
            "event_loop_lag_seconds": round(vitals.loop_lag, 6),
            "uptime_seconds": round(vitals.uptime, 3),
            "config": live.digest,
            "workers": [{"worker": worker, "seconds_since_beat": round(age, 3)} for worker, age in ages],
        }
        return JSONResponse(state, 200 if status == "ok" else 503)

    async def scrape(_request: Request) -> Response:
        metrics.write_tallies()
        # In a thread, since it reads files.
        text = await asyncio.to_thread(metrics.exposition)
        # As a header: Starlette adds a second charset to text types that are given as media_type.
        return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def describe(_request: Request) -> Response:
        return Response(document, media_type="application/json")

    return [Route("/health", health), Route("/metrics", scrape), Route("/openapi.json", describe)]
