"""The queries that objects bring along: few at a time, each at its own pace, and a slow one in nobody's way."""

import asyncio
import logging
import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from hca_operator.core.names import QUERY_METRIC
from hca_operator.core.ports import Key
from hca_operator.metrics_server.prometheus.client import Failure, Prometheus, Result
from hca_operator.metrics_server.prometheus.demand import OwnQuery
from hca_operator.metrics_server.samples.signals import Reading, Unknown

logger = logging.getLogger(__name__)

INTERVAL = 15.0
"""Seconds between two times that a query is asked, which is how often an autoscaler looks."""
KEPT = 40.0
"""Seconds for which a number holds while Prometheus does not answer: two intervals and their time-outs."""
LANE, TROUBLE_LANE = 4, 2
"""Queries at a time, of those that were answered last time and of those that were not."""


class _Told(NamedTuple):
    at: float
    value: float


class OwnQueries:
    """Asks them, and knows what came of it."""

    def __init__(self, prometheus: Prometheus, *, clock: Callable[[], float], chance: Callable[[], float]) -> None:
        """`clock` is monotonic; `chance` is from 0 to 1, and spreads the queries over the time between two."""
        self._prometheus = prometheus
        self._clock = clock
        self._chance = chance
        self._tasks: asyncio.TaskGroup
        self._asked: dict[Key, dict[OwnQuery, asyncio.Task[None]]] = {}
        self._told: dict[tuple[Key, OwnQuery], _Told] = {}
        self._failures: dict[tuple[Key, OwnQuery], str] = {}
        self._lane = asyncio.Semaphore(LANE)
        self._trouble_lane = asyncio.Semaphore(TROUBLE_LANE)

    def run_in(self, tasks: asyncio.TaskGroup) -> None:
        """Where the asking goes on."""
        self._tasks = tasks

    def follow(self, api: Key, queries: frozenset[OwnQuery]) -> None:
        """From now on these are asked for an object, and no others."""
        asked = self._asked.pop(api, {})
        for gone in asked.keys() - queries:
            asked.pop(gone).cancel()
            self._told.pop((api, gone), None)
            self._failures.pop((api, gone), None)
        for new in queries - asked.keys():
            asked[new] = self._tasks.create_task(self._ask_again_and_again(api, new))
        if asked:
            self._asked[api] = asked

    def read(self, api: Key, name: str, now: datetime) -> Reading:
        """What a query of an object came to. Raises Unknown where it came to no number."""
        what = f"{QUERY_METRIC} {name} of {api}"
        query = next((query for query in self._asked.get(api, {}) if query.name == name), None)
        if query is None:
            raise Unknown(f"{what} is unknown: the object has no such metric, or was not seen yet: wait a few seconds")
        told = self._told.get((api, query))
        if told is None or self._clock() - told.at > KEPT:
            why = self._failures.get((api, query), "it has not been asked yet: wait a few seconds")
            raise Unknown(f"{what} is unknown: {why}")
        age = self._clock() - told.at
        return Reading(told.value, at=now - timedelta(seconds=age), window=age)

    async def _ask_again_and_again(self, api: Key, query: OwnQuery) -> None:
        if query.refusal:
            self._failures[api, query] = query.refusal
            return
        await asyncio.sleep(self._chance() * INTERVAL)
        in_trouble = False
        while True:
            due = self._clock() + INTERVAL
            async with self._trouble_lane if in_trouble else self._lane:
                in_trouble = not await self._ask(api, query)
            await asyncio.sleep(max(0.0, due - self._clock()))

    async def _ask(self, api: Key, query: OwnQuery) -> bool:
        """Whether Prometheus answered."""
        place = api, query
        before = self._failures.get(place)
        try:
            self._told[place] = _Told(self._clock(), await self._prometheus.ask(QUERY_METRIC, query.query, number))
            self._failures.pop(place, None)
        except Unknown as useless:  # an answer that is no number is newer than the last number
            self._told.pop(place, None)
            self._failures[place] = str(useless)
        except Failure as failure:
            self._failures[place] = str(failure)
            if before is None:
                logger.warning("query %s of %s: %s", query.name, api, failure)
            return False
        return True


def number(result: Result) -> float:
    """The one number that a result is. Raises Unknown where it is another thing."""
    if len(result) == 2 and isinstance(result[1], str):  # of a scalar: its time and value
        value = float(result[1])
    elif len(result) == 1 and "value" in result[0]:
        value = float(result[0]["value"][1])
    elif not result:
        raise Unknown("its query comes to nothing: see whether its series are there, in the object's own namespace")
    else:
        raise Unknown(f"its query comes to {len(result)} series: have it come to one number, as sum(...) does")
    if not 0 <= value < math.inf:
        raise Unknown(f"its query comes to {value:g}: have it come to a number from 0 upwards")
    return value
