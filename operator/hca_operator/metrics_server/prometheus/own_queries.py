"""Sends the queries of metrics of type Prometheus: a few at a time, each at its own interval.

A slow query does not delay the others.
"""

import asyncio
import logging
import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from hca_operator.api.metric_types import PROMETHEUS
from hca_operator.api.promql import judge
from hca_operator.core.ports import Key
from hca_operator.metrics_server.polling.pollers import Lanes, Pollers, poll_at_interval
from hca_operator.metrics_server.prometheus.client import LARGEST_NUMBER_BYTES, Prometheus, QueryFailure, Result
from hca_operator.metrics_server.prometheus.demand import OwnQuery
from hca_operator.metrics_server.samples.reading import Reading, Unknown

logger = logging.getLogger(__name__)

OWN_QUERY_SECONDS = 15.0
"""Between two sends of a query: the interval at which a HorizontalPodAutoscaler reads."""
OWN_QUERY_KEPT_SECONDS = 40.0
"""For which a value is used while Prometheus does not answer: two intervals and their time-outs."""
HEALTHY_QUERIES_AT_A_TIME, FAILING_QUERIES_AT_A_TIME = 4, 2
"""Queries at a time, of those that were answered last time and of those that were not."""


class _Value(NamedTuple):
    at: float
    value: float


class OwnQueries:
    """Sends the queries, and keeps their values."""

    def __init__(self, prometheus: Prometheus, *, clock: Callable[[], float], phase: Callable[[], float]) -> None:
        """`clock` is monotonic; `phase` returns a number from 0 to 1, and spreads the queries over the interval."""
        self._prometheus = prometheus
        self._clock = clock
        self._phase = phase
        self._values: dict[tuple[Key, OwnQuery], _Value] = {}
        self._failures: dict[tuple[Key, OwnQuery], str] = {}
        self._pollers = Pollers(self._poll)
        self._lanes = Lanes(HEALTHY_QUERIES_AT_A_TIME, FAILING_QUERIES_AT_A_TIME)

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """The task group in which queries are sent; call it before `follow`."""
        self._pollers.start(tasks)

    def follow(self, api: Key, queries: frozenset[OwnQuery]) -> None:
        """From now on send these queries for an object and no others."""
        for gone in self._pollers.keep(api, queries):
            self._values.pop((api, gone), None)
            self._failures.pop((api, gone), None)

    def read(self, api: Key, name: str, now: datetime) -> Reading:
        """The value of a query of an object. Raises Unknown if there is none."""
        what = f"{PROMETHEUS.external} {name} of {api}"
        query = next((query for query in self._pollers.of(api) if query.name == name), None)
        if query is None:
            raise Unknown(f"{what} is unknown: the object has no such metric, or was not seen yet: wait a few seconds")
        last = self._values.get((api, query))
        if last is None or self._clock() - last.at > OWN_QUERY_KEPT_SECONDS:
            why = self._failures.get((api, query), "its query has not been sent yet: wait a few seconds")
            raise Unknown(f"{what} is unknown: {why}")
        age = self._clock() - last.at
        return Reading(last.value, at=now - timedelta(seconds=age), window=age)

    async def _poll(self, api: Key, query: OwnQuery) -> None:
        failing = False

        async def poll() -> float:
            nonlocal failing
            async with self._lanes.turn(api, failing=failing):
                failing = not await self._send(api, query)
            return OWN_QUERY_SECONDS

        await poll_at_interval(OWN_QUERY_SECONDS, poll, clock=self._clock, phase=self._phase())

    async def _send(self, api: Key, query: OwnQuery) -> bool:
        """Send a query and keep its value or failure. Returns False if Prometheus did not answer."""
        place, at = (api, query), self._clock()
        # Parsed here, where queries are spread over the interval, and not for all objects of a list at once.
        bound, refusal = judge(query.query, api.namespace)
        if refusal:
            self._failures[place] = f"its query {refusal}"
            return True
        before = self._failures.get(place)
        try:
            value = await self._prometheus.query(PROMETHEUS.external, bound, number, largest=LARGEST_NUMBER_BYTES)
            self._values[place] = _Value(at, value)
            self._failures.pop(place, None)
        except Unknown as useless:  # an answer without a number is newer than the last number
            self._values.pop(place, None)
            self._failures[place] = str(useless)
        except QueryFailure as failure:
            self._failures[place] = str(failure)
            if before is None:
                logger.warning("query %s of %s: %s", query.name, api, failure)
            return False
        return True


def number(result: Result) -> float:
    """The only number of a result. Raises Unknown unless it is exactly one number from 0 upwards."""
    if len(result) == 2 and isinstance(result[1], str):  # time and value of a scalar
        value = float(result[1])
    elif len(result) == 1 and "value" in result[0]:
        value = float(result[0]["value"][1])
    elif not result:
        raise Unknown("its query returns no series: check that its series exist in the object's own namespace")
    else:
        raise Unknown(f"its query returns {len(result)} series: have it return one number, as sum(...) does")
    if not 0 <= value < math.inf:
        raise Unknown(f"its query returns {value:g}: have it return a number from 0 upwards")
    return value
