"""Load shedding: what cannot be served in time is refused at once, while refusing is still cheap.

A worker that takes on more than it can do serves nobody: every request waits in the same queue
until its client has gone, and the work is done for no one. A quick 503 with Retry-After costs next
to nothing, and the rest are served as usual. Two signs of too much:

- Lag that stands. CoDel's idea from routers: the *least* lag of the last second is what a queue
  that does not drain looks like, while a burst, a collection or a throttled CPU leave moments
  without. Half a second of it, since by then a request of a few steps has waited for seconds.
- Requests under way. By Little's law there are as many as arrive in the time that one takes: 512
  are a thousand each second at half a second each, more than one worker does. It bounds memory.

/health and /metrics are always answered: a pod that is unready because of load hands its load to
the others, which are then unready too.
"""

import random

from starlette.types import ASGIApp, Receive, Scope, Send

from shop.live_settings import LiveSettings
from shop.metrics import Metrics
from shop.problems import problem
from shop.vitals import Vitals

_ALWAYS_ANSWERED = {"/health", "/metrics"}


class Shedding:
    """Middleware that refuses with 503 what is too much."""

    def __init__(self, app: ASGIApp, metrics: Metrics, vitals: Vitals, live: LiveSettings) -> None:
        self._app = app
        self._shed = metrics.shed
        self._vitals = vitals
        self._live = live
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse."""
        if scope["type"] != "http" or scope["path"] in _ALWAYS_ANSWERED:
            await self._app(scope, receive, send)
        elif (reason := self._reason()) is None:
            self._in_flight += 1
            try:
                await self._app(scope, receive, send)
            finally:
                self._in_flight -= 1
        else:
            self._shed.labels(reason).inc()
            # Spread, or the refused would all be back in the same second.
            seconds = random.randint(1, 3)  # noqa: S311 - spreads load, guards nothing
            refusal = problem(503, "The shop has too much to do; try again soon.", {"Retry-After": str(seconds)})
            await refusal(scope, receive, send)

    def _reason(self) -> str | None:
        limits = self._live.now
        if self._in_flight >= limits.max_in_flight:
            return "in_flight"
        return "lag" if self._vitals.standing_lag * 1000 > limits.max_lag_ms else None
