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

from starlette.responses import Response

from shop.configuration.live_settings import LiveSettings
from shop.http.problems import problem
from shop.observation.metrics import Metrics
from shop.overload.vitals import Vitals


class Shedding:
    """Refuses with 503 what is too much."""

    def __init__(self, metrics: Metrics, vitals: Vitals, live: LiveSettings) -> None:
        self._shed = metrics.shed
        self._requests = metrics.served
        self._vitals = vitals
        self._live = live

    def refusal(self) -> Response | None:
        """Return the answer to one request more, None where it can be served."""
        limits = self._live.now
        if self._requests.in_flight >= limits.max_in_flight:
            reason = "in_flight"
        elif self._vitals.standing_lag * 1000 > limits.max_lag_ms:
            reason = "lag"
        else:
            return None
        self._shed.labels(reason).inc()
        # Spread, or the refused would all be back in the same second.
        seconds = random.randint(1, 3)  # noqa: S311 - spreads load, guards nothing
        return problem(503, "The shop has too much to do; try again soon.", {"Retry-After": str(seconds)})
