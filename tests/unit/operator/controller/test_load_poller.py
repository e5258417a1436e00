"""How the operator asks for the load: rarely noticed, and not at all where no object needs it."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hca_operator.api.metric_types import REQUESTS_PER_SECOND
from hca_operator.controller.load_poller import LOAD_POLL_SECONDS, LOAD_TIMEOUT_SECONDS, LoadPoller
from hca_operator.core.errors import Transient
from hca_operator.core.names import Manifest
from hca_operator.scaling.burst import BurstPolicy, BurstTracker
from tests.unit.operator import virtual_time
from tests.unit.operator.reconcile.passes import KEY

POLICY = BurstPolicy({REQUESTS_PER_SECOND.external: 50.0}, threshold=2.0, max_pods=20, window=timedelta(seconds=60))
START = datetime(2026, 1, 5, tzinfo=UTC)


def signal(value: str = "400", **fields: Any) -> Manifest:
    return {
        "metadata": {"namespace": KEY.namespace, "name": KEY.name},
        "metricName": REQUESTS_PER_SECOND.external,
        "value": value,
        "window": 2,
    } | fields


class Source:
    """Gives one answer after another, the last for ever."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str]] = []

    async def readings(self, kind: str, namespace: str, **_selectors: str) -> list[Manifest] | None:
        self.asked.append((kind, namespace))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if answer == "never":
            await asyncio.Event().wait()
        return answer  # type: ignore[no-any-return] # what the test says


def following() -> BurstTracker:
    book = BurstTracker()
    book.track(KEY, POLICY, {"spec": {"replicas": 1}, "status": {"readyReplicas": 1}})
    return book


def looked_at(source: Source, book: BurstTracker, *, seconds: float, lead_after: float = 0.0) -> list[float]:
    """When the object was to be looked at, in seconds from the start."""
    found: list[float] = []

    async def main() -> None:
        clock = asyncio.get_running_loop().time

        async def leading() -> None:
            await asyncio.sleep(max(0.0, lead_after - clock()))

        reader = LoadPoller(source, book, lambda: START + timedelta(seconds=clock()))
        async with asyncio.timeout(seconds):
            await reader.run(leading=leading, changed=lambda key: found.append(clock()) if key == KEY else None)

    with pytest.raises(TimeoutError):
        virtual_time.run(main())
    return found


def test_a_load_that_is_too_great_in_two_readings_has_the_object_looked_at() -> None:
    source = Source([signal()])
    assert looked_at(source, following(), seconds=2.5) == [2 * LOAD_POLL_SECONDS]
    assert set(source.asked) == {("Signal", "")}


def test_where_no_object_follows_bursts_no_request_is_sent() -> None:
    source = Source([signal()])
    assert looked_at(source, BurstTracker(), seconds=10) == []
    assert source.asked == []


def test_only_the_leader_asks() -> None:
    source = Source([signal()])
    assert looked_at(source, following(), seconds=10, lead_after=20) == []
    assert source.asked == []


@pytest.mark.parametrize("answer", [None, [], Transient("no endpoints"), "never"], ids=str)
def test_without_an_answer_nothing_is_a_jump_and_it_is_asked_again(answer: Any) -> None:
    source = Source(answer)
    assert looked_at(source, following(), seconds=4 * (LOAD_POLL_SECONDS + LOAD_TIMEOUT_SECONDS)) == []
    assert len(source.asked) >= 4


def test_that_it_cannot_be_read_is_said_once_for_each_outage(caplog: pytest.LogCaptureFixture) -> None:
    down = Transient("no endpoints")
    with caplog.at_level(logging.WARNING):
        looked_at(Source(down, down, [], down, down, []), following(), seconds=10)
    assert [record.getMessage() for record in caplog.records] == [
        "the load could not be read, so no jump of it is met: no endpoints"
    ] * 2


@pytest.mark.parametrize(
    "spoilt",
    [{"value": "many"}, {"value": None}, {"window": "long"}, {"metadata": {}}, {"metadata": None}, {"metricName": []}],
    ids=str,
)
def test_a_signal_that_cannot_be_read_spoils_no_other(spoilt: Manifest) -> None:
    source = Source([signal(**spoilt), signal()])
    assert looked_at(source, following(), seconds=2.5) == [2 * LOAD_POLL_SECONDS]
