"""Whom the scraper asks and when, in a time that passes only when nothing else is left to do."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise, repeat

import pytest
from prometheus_client import CollectorRegistry

from hca_operator.core.names import KIND, Manifest
from hca_operator.core.ports import Key
from hca_operator.metrics_server.inventory.inventory import api_informer, pod_informer
from hca_operator.metrics_server.pods import pod_polling
from hca_operator.metrics_server.pods.pod_polling import COSTLY_BYTES, FIRST_SAMPLES_SECONDS, POD_POLL_SECONDS
from hca_operator.metrics_server.pods.scrape import ScrapeFailure
from hca_operator.metrics_server.pods.scrape_metrics import ScrapeMetrics
from hca_operator.metrics_server.pods.scraper import FAILING_PODS_AT_A_TIME, HEALTHY_PODS_AT_A_TIME, Scraper
from hca_operator.metrics_server.samples.exposition import PodSample
from hca_operator.metrics_server.samples.reading import Unknown
from hca_operator.metrics_server.samples.sample_store import SampleStore
from tests.unit.operator.metrics_server.pods.loopback_pods import pod_metrics
from tests.unit.operator.metrics_server.pods.scraper_world import NOW, World, hang, one
from tests.unit.operator.metrics_server.pods.watched_pods import CONCURRENCY, Server, api, pod, together


def test_each_pod_is_asked_every_two_seconds_in_a_phase_of_its_own(play: Callable[..., None]) -> None:
    async def check(world: World) -> None:
        await asyncio.sleep(20)
        assert {name: (len(times), times[0]) for name, times in world.asked.items()} in (
            {"a": (10, 0.5), "b": (10, 1.5)}, {"a": (10, 1.5), "b": (10, 0.5)},
        )  # fmt: skip
        assert {later - sooner for times in world.asked.values() for sooner, later in pairwise(times)} == {
            POD_POLL_SECONDS
        }
        assert world.concurrency() == 2
        assert world.count("hca_scrapes_total", result="read") == world.count("hca_scrape_seconds_count") == 20
        assert (world.count("hca_scraped_apis"), world.count("hca_scraped_pods")) == (1, 2)

    play(check, pod("a"), pod("b"), pod("c", of="cart"), pod("d", ready="False"))


def test_only_the_pods_of_objects_that_need_it_are_asked(play: Callable[..., None]) -> None:
    plain = api("cart", autoscaling={"metrics": [{"name": "cpu", "type": "CPU"}]})

    async def check(world: World) -> None:
        await asyncio.sleep(5)
        assert world.asked.keys() == {"a"}
        world.happens(KIND, "MODIFIED", api("cart"))
        world.happens(KIND, "MODIFIED", api("shop", autoscaling={**CONCURRENCY, "mode": "Disabled"}))
        await asyncio.sleep(1)
        asked = len(world.asked["a"])
        await asyncio.sleep(5)
        assert len(world.asked["a"]) == asked
        assert (world.concurrency("cart"), world.concurrency("shop")) == (1, None)
        world.happens(KIND, "DELETED", api("cart"))
        await asyncio.sleep(0.1)
        assert world.concurrency("cart") is None
        assert (world.count("hca_scraped_apis"), world.count("hca_scraped_pods")) == (0, 0)

    play(check, pod("a"), pod("b", of="cart"), apis=[api(), plain])


@pytest.mark.parametrize(
    ("type_", "change"),
    [
        ("DELETED", {}),
        ("MODIFIED", {"status": {}}),
        ("MODIFIED", {"metadata": {**pod("a")["metadata"], "deletionTimestamp": "2026-03-01T00:00:00Z"}}),
    ],
)
def test_a_pod_that_goes_is_let_go_at_once(play: Callable[..., None], type_: str, change: Manifest) -> None:
    async def forever(_name: str) -> PodSample:
        await asyncio.Event().wait()
        raise AssertionError

    async def check(world: World) -> None:
        await asyncio.sleep(3)
        assert world.running.total() == 2
        world.happens("Pod", type_, {**pod("a"), **change})
        await asyncio.sleep(0.001)
        assert world.running == {"a": 0, "b": 1}
        assert world.count("hca_scraped_pods") == 1

    play(check, pod("a"), pod("b"), answer=forever)


def test_samples_of_a_pod_from_another_endpoint_are_dropped(play: Callable[..., None]) -> None:
    async def check(world: World) -> None:
        await asyncio.sleep(3)
        assert world.concurrency() == 1
        world.happens(KIND, "MODIFIED", api(monitoring={"path": "/elsewhere"}))
        await asyncio.sleep(0.1)
        assert world.concurrency() is None
        await asyncio.sleep(4)
        assert world.concurrency() == 1

    play(check, pod("a"))


@pytest.mark.parametrize("first", [KIND, "Pod"])
def test_no_pod_is_asked_and_nothing_is_complete_before_both_lists_are_there(
    play: Callable[..., None], first: str
) -> None:
    async def check(world: World) -> None:
        assert "not listed yet" in (world.scraper.not_ready() or "")
        world.server.may_list[first].set()
        await asyncio.sleep(5)
        assert (world.asked, world.concurrency()) == ({}, None)
        assert "not listed yet" in (world.scraper.not_ready() or "")
        for event in world.server.may_list.values():
            event.set()
        await asyncio.sleep(0.1)
        assert world.scraper.not_ready() == "the pods are being read for the first time"
        await asyncio.sleep(FIRST_SAMPLES_SECONDS)
        assert (world.scraper.not_ready(), world.concurrency()) == (None, 1)
        assert len(world.asked["a"]) >= 2

    play(check, pod("a"), listed=False)


def test_pods_that_do_not_answer_hold_up_no_others(play: Callable[..., None]) -> None:
    async def some(name: str) -> PodSample:
        return await (one(name) if name.startswith("good") else hang(name))

    async def check(world: World) -> None:
        await asyncio.sleep(30)
        assert world.most <= HEALTHY_PODS_AT_A_TIME + FAILING_PODS_AT_A_TIME
        for name in ("good-1", "good-2"):
            late = [time for time in world.asked[name] if time > 20]
            assert {round(later - sooner, 6) for sooner, later in pairwise(late)} == {POD_POLL_SECONDS}
        waiting = world.asked["bad-1"]
        assert 1 < len(waiting) < 5, "they wait for each other"
        assert world.concurrency("good") == 2
        assert world.concurrency("bad") is None

    bad = [pod(f"bad-{number}", of="bad") for number in range(300)]
    play(check, *bad, pod("good-1", of="good"), pod("good-2", of="good"), apis=[api("bad"), api("good")], answer=some)


def test_fault_43_pods_that_answer_slowly_take_no_turn_from_those_of_others(play: Callable[..., None]) -> None:
    async def some(name: str) -> PodSample:
        if name.startswith("slow"):
            await asyncio.sleep(0.95)
        return PodSample(in_flight=1)

    async def check(world: World) -> None:
        await asyncio.sleep(30)
        for name in ("good-1", "good-2"):
            times = [time for time in world.asked[name] if time > 4]
            assert all(later - sooner == pytest.approx(POD_POLL_SECONDS, abs=0.01) for sooner, later in pairwise(times))
        for _ in range(100):
            await asyncio.sleep(0.25)
            assert world.samples.read("b", "good", "hca-concurrency", NOW).value == 2
        with pytest.raises(
            Unknown, match="could not be scraped in time, because many pods of its namespace answer slowly"
        ):
            world.samples.read("default", "slow", "hca-concurrency", NOW)

    slow = [pod(f"slow-{number}", of="slow") for number in range(400)]
    good = [pod(f"good-{number}", of="good") for number in (1, 2)]
    apis = [api("slow"), api("good")]
    for made in (apis[1], *good):
        made["metadata"]["namespace"] = "b"
    play(check, *slow, *good, apis=apis, answer=some)


def test_a_pod_that_begins_or_ceases_to_fail_is_logged_once(
    play: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    broken = True

    async def at_times(_name: str) -> PodSample:
        if broken:
            raise ScrapeFailure("refused", "/metrics on port 8000 answers 404: set monitoring.path")
        return PodSample(in_flight=1)

    async def check(world: World) -> None:
        nonlocal broken
        await asyncio.sleep(10)
        with pytest.raises(Unknown, match="most often, /metrics on port 8000 answers 404"):
            world.samples.read("default", "shop", "hca-concurrency", NOW)
        broken = False
        await asyncio.sleep(10)
        assert world.count("hca_scrapes_total", result="refused") == 5

    play(check, pod("a"), answer=at_times)
    assert [record.getMessage() for record in caplog.records if record.name == pod_polling.__name__] == [
        "pod default/a cannot be read: /metrics on port 8000 answers 404: set monitoring.path",
        "pod default/a can be read again",
    ]


def test_while_the_api_server_is_away_the_pods_are_asked_on(play: Callable[..., None]) -> None:
    async def check(world: World) -> None:
        await asyncio.sleep(3)
        for _ in range(50):
            world.server.events["Pod"].put_nowait(("ERROR", {}))
        asked = len(world.asked["a"])
        await asyncio.sleep(4)
        assert len(world.asked["a"]) == asked + 2
        assert world.concurrency() == 1

    play(check, pod("a"))


async def test_over_real_connections_pods_become_numbers() -> None:
    text = 'http_requests_in_flight{worker="0"} %d\nhttp_requests_in_flight{worker="1"} 1\n'
    pods = [pod("a"), pod("b")]
    for made, address in zip(pods, ("127.0.0.1", "127.0.0.2"), strict=True):
        made["status"]["podIP"] = address
    async with pod_metrics(text % 3, "127.0.0.1") as port, pod_metrics(text % 5, "127.0.0.2", port):
        server = Server([api(monitoring={"port": port})], pods)
        for event in server.may_list.values():
            event.set()
        clock, known = asyncio.get_running_loop().time, asyncio.Event()

        class Reported(SampleStore):
            def add(self, of: Key, uid: str, sample: PodSample) -> None:
                super().add(of, uid, sample)
                with suppress(Unknown):
                    if self.read("default", "shop", "hca-concurrency", NOW).value == 10:
                        known.set()

        informers = apis, pods_of_apis = api_informer(server), pod_informer(server)
        scraper = Scraper(
            apis, pods_of_apis, Reported(clock), ScrapeMetrics(CollectorRegistry()), clock=clock, phase=lambda: 0.0
        )
        running = asyncio.create_task(together(scraper.run(), *(informer.run(repeat(0.1)) for informer in informers)))
        async with asyncio.timeout(30):
            await known.wait()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def test_a_pod_that_was_read_a_moment_ago_is_asked_as_often_as_before(play: Callable[..., None]) -> None:
    """While the metrics API is busy with the pods of a tenant, long answers of others end in the time-out, too."""

    async def answer(_name: str) -> PodSample:
        if len(asked) % 15 == 1:
            return PodSample(in_flight=10)
        failure = ScrapeFailure("unreachable", "/metrics on port 8000 gives no answer")
        failure.received = COSTLY_BYTES
        raise failure

    asked: list[float] = []

    async def watch(world: World) -> None:
        nonlocal asked
        asked = world.asked["shop-1"]
        await asyncio.sleep(100)
        assert {later - earlier for earlier, later in pairwise(asked)} == {2}

    play(watch, pod("shop-1"), answer=answer)


def test_fault_77_a_pod_that_sends_much_that_cannot_be_read_is_asked_ever_more_rarely(
    play: Callable[..., None],
) -> None:
    received = COSTLY_BYTES

    async def answer(_name: str) -> PodSample:
        failure = ScrapeFailure("unreachable", "/metrics on port 8000 gives no answer")
        failure.received = received
        raise failure

    async def watch(world: World) -> None:
        nonlocal received
        await asyncio.sleep(130)
        waits = [later - earlier for earlier, later in pairwise(world.asked["shop-1"])]
        assert waits == [4, 8, 16, 30, 30, 30]
        with pytest.raises(Unknown, match="gives no answer"):
            world.samples.read("default", "shop", "hca-concurrency", NOW)
        received -= 1
        await asyncio.sleep(32)
        waits = [later - earlier for earlier, later in pairwise(world.asked["shop-1"])]
        assert waits[-2:] == [2, 2]

    play(watch, pod("shop-1"), answer=answer)
