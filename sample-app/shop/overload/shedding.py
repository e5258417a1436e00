"""Load shedding: requests that cannot be served in time are refused at once, while a refusal is still cheap.

An overloaded worker serves no client in time: every request waits in the same queue until its client has given up, and
the work is wasted. A quick 503 with Retry-After costs almost nothing, and the other requests are served as usual. Two
signals of overload:

- Standing lag of the event loop. The idea is CoDel's, from routers: a queue that does not drain shows in the *minimum*
  lag of the last second, whereas a burst, a garbage collection or a throttled CPU leaves moments without lag. The limit
  is half a second: a request of a few steps has then waited for seconds.
- Requests in progress. By Little's law their number is the arrival rate times the duration: 512 are a thousand per
  second of half a second each, more than one worker can do. This also bounds memory.

/health and /metrics are always answered: a pod that is unready because of load passes its load on to the others, which
then become unready as well.
"""

import random

from starlette.responses import Response

from shop.configuration.live_settings import LiveSettings
from shop.http.problems import problem
from shop.observation.metrics import Metrics
from shop.overload.vitals import Vitals


class Shedding:
    """Decides whether the worker accepts one more request."""

    def __init__(self, metrics: Metrics, vitals: Vitals, live: LiveSettings) -> None:
        self._shed = metrics.shed
        self._requests = metrics.served
        self._vitals = vitals
        self._live = live

    def refusal(self) -> Response | None:
        """Return the 503 answer to one more request, None if the request can be served."""
        limits = self._live.current
        if self._requests.in_flight >= limits.max_in_flight:
            reason = "in_flight"
        elif self._vitals.standing_lag * 1000 > limits.max_lag_ms:
            reason = "lag"
        else:
            return None
        self._shed.labels(reason).inc()
        # Random, or all refused clients would come back in the same second.
        seconds = random.randint(1, 3)  # noqa: S311 - spreads load, guards nothing
        return problem(503, "The shop has too much to do; try again soon.", {"Retry-After": str(seconds)})
