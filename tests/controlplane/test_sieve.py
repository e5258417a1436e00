"""Whatever comes between the operator and the API server, an object ends as if nothing had.

The patterns are those of Sieve (Sun et al., OSDI 2022): a life that ends in the middle, events that are never seen, and
views of the past; and what networks and busy API servers do besides.
"""

import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count

import pytest

from dev.control_plane import ControlPlane
from tests.controlplane.api_server import ApiServer, Manifest, eventually
from tests.controlplane.conftest import temporary_namespace
from tests.controlplane.essence import RESOURCES
from tests.controlplane.faults import Delayed, Dropped, Expired, Failed, Killed, Overloaded, Past, Slow
from tests.controlplane.journey import EDITS, PODS, Journey
from tests.controlplane.meddler import Event, Meddler
from tests.controlplane.objects import DISABLED, children
from tests.controlplane.operator_process import OperatorProcess

OBJECTS = "highconcurrencyapis"
EVERYTHING = {OBJECTS, *RESOURCES}
MANY_WRITES = 50
"""More than a journey takes: without an end to them, something is written again and again."""
LIVES_BESIDE_EACH_OTHER = 10
"""Journeys on each of which the operator dies after another write: all of them go on after each of its deaths."""

Start = Callable[[str], Journey]


@pytest.fixture(scope="module")
def meddler(control_plane: ControlPlane) -> Iterator[Meddler]:
    with Meddler(control_plane) as started:
        yield started


@pytest.fixture(scope="module")
def operator(
    meddler: Meddler, server: ApiServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """The operator, which reaches the API server through the meddler. No fault is a surprise to it."""
    del server  # the CRD must be there first
    with OperatorProcess(meddler.kubeconfig(), tmp_path_factory.mktemp("operator") / "log") as started:
        yield started
        assert started.probe("healthz") == 200
    assert not [line for line in started.log() if "exc_info" in line]


@pytest.fixture(scope="module")
def start(control_plane: ControlPlane, server: ApiServer, shared_namespace: str) -> Start:
    """A journey of an object of some name, not begun yet."""
    return lambda name: Journey(control_plane, server, shared_namespace, name)


@dataclass
class Undisturbed:
    """A journey on which nothing went wrong: what there was after the object was made, and after each edit."""

    stages: list[Manifest]
    tallies: list[Counter[str]]
    """How often each child had been created and deleted by then."""


@pytest.fixture(scope="module")
def undisturbed(start: Start, operator: OperatorProcess) -> Undisturbed:
    del operator  # it does the work
    journey = start("undisturbed")
    journey.begin()
    stages, tallies = [journey.settle()], [journey.tally()]
    for edit in EDITS:
        journey.edit(edit)
        stages.append(journey.settle())
        tallies.append(journey.tally())
    assert journey.counts() == {PODS}
    journey.end()
    return Undisturbed(stages, tallies)


@pytest.mark.long
def test_killed_after_any_of_its_writes_it_ends_as_if_nothing_had_happened(
    meddler: Meddler, operator: OperatorProcess, control_plane: ControlPlane, server: ApiServer,
    undisturbed: Undisturbed,
) -> None:  # fmt: skip
    def die_and_rise() -> None:
        operator.kill()
        operator.start(wait=False)

    for first in count(1, LIVES_BESIDE_EACH_OTHER):
        assert first < MANY_WRITES
        with ExitStack() as namespaces:
            journeys = {
                after: Journey(
                    control_plane, server, namespaces.enter_context(temporary_namespace(server)), f"killed-{after}",
                    within=180,
                )
                for after in range(first, first + LIVES_BESIDE_EACH_OTHER)
            }  # fmt: skip
            killed = Killed({journey.namespace: after for after, journey in journeys.items()}, die_and_rise)
            with meddler.meddling(killed):
                for number, edit in enumerate(({}, *EDITS[:2])):
                    for journey in journeys.values():
                        if edit:
                            journey.edit(edit)
                        else:
                            journey.begin()
                    for journey in journeys.values():
                        journey.settle_as(undisturbed.stages[number])
                for journey in journeys.values():
                    eventually(lambda j=journey: j.tallied(undisturbed.tallies[2]))  # type: ignore[misc]
                    journey.end()
            with ThreadPoolExecutor() as beside:
                assert all(counts == {PODS} for counts in beside.map(Journey.counts, journeys.values()))
        assert killed.deaths or first > 1
        if not killed.over:
            break  # there were not that many writes: each of them has had its turn


def test_what_happened_unseen_is_made_good_when_the_watches_start_again(
    meddler: Meddler, server: ApiServer, shared_namespace: str, start: Start, undisturbed: Undisturbed
) -> None:
    made, edited, damaged, deleted = (start(f"unseen-{what}") for what in ("made", "edited", "damaged", "deleted"))
    for journey in (edited, damaged, deleted):
        journey.begin()
        journey.serve()
    with meddler.meddling(Dropped(lambda _event: True)):
        made.begin()
        for edit in EDITS[:2]:
            edited.edit(edit)
        server.delete("Service", shared_namespace, damaged.name)
        server.patch("HorizontalPodAutoscaler", shared_namespace, damaged.name, {"spec": {"maxReplicas": 99}})
        deleted.end()
    with meddler.meddling(Expired()):
        meddler.end_streams()
        made.settle_as(undisturbed.stages[0])
        edited.settle_as(undisturbed.stages[2])
        damaged.settle_as(undisturbed.stages[0])
    assert not children(server, shared_namespace, deleted.name)
    for journey in (made, edited, damaged):
        assert journey.counts() == {PODS}


def test_events_of_one_kind_that_never_come_end_in_the_same_state_after_the_next_list(
    meddler: Meddler, start: Start, undisturbed: Undisturbed
) -> None:
    journeys = {resource: start(f"no-{resource}") for resource in EVERYTHING}
    seen: set[int] = set()

    def unwanted(event: Event) -> bool:
        journey = journeys.get(event.resource)
        if journey is None or event.name != journey.name:
            return False
        if event.resource != OBJECTS:
            return True
        generation = event.object["metadata"]["generation"]
        is_news = generation not in seen  # what follows is a nudge
        seen.add(generation)
        return is_news

    with meddler.meddling(Dropped(unwanted)):
        for edit in ({}, *EDITS):
            for journey in journeys.values():
                if edit:
                    journey.edit(edit)
                else:
                    journey.begin()
                journey.nudge()
            for journey in journeys.values():
                journey.settle()
    with meddler.meddling(Expired()):
        meddler.end_streams()
        for journey in journeys.values():
            journey.settle_as(undisturbed.stages[-1])
    for journey in journeys.values():
        assert journey.counts() == {PODS}
        eventually(lambda j=journey: j.tallied(undisturbed.tallies[-1]))  # type: ignore[misc]


def test_events_that_come_late_end_in_the_same_state(
    meddler: Meddler, server: ApiServer, shared_namespace: str, start: Start, undisturbed: Undisturbed
) -> None:
    old, new = start("late-old"), start("late-new")
    old.begin()
    old.settle_as(undisturbed.stages[0])
    with meddler.meddling(Delayed(EVERYTHING)):
        new.begin()
        for edit in EDITS:
            old.edit(edit)
            new.edit(edit)
        server.delete("Deployment", shared_namespace, old.name)
    for journey in (old, new):
        journey.settle_as(undisturbed.stages[-1])
        assert journey.counts() == {PODS}


def test_who_does_not_see_that_the_children_are_made_makes_none_again_and_lowers_no_count(
    meddler: Meddler, server: ApiServer, shared_namespace: str, start: Start, undisturbed: Undisturbed
) -> None:
    journey = start("unborn")
    before = server.version("Deployment", shared_namespace)
    with meddler.meddling(Past(before, RESOURCES)):
        journey.begin()
        eventually(lambda: len(children(server, shared_namespace, journey.name)) == len(undisturbed.stages[0]) - 1)
        server.patch("Deployment", shared_namespace, f"{journey.name}/scale", {"spec": {"replicas": 7}})
        journey.edit(EDITS[0])
        journey.nudge()
        look_around(start, journey)
    journey.settle_as(scaled(undisturbed.stages[1], 7))
    assert journey.counts() == {PODS, 7}


def look_around(start: Start, journey: Journey) -> None:
    """Wait until the operator has carried out an object that came later: until then it has looked at this one, too."""
    later = start(f"{journey.name}-{uuid.uuid4().hex[:4]}")
    later.begin()
    later.settle()


def scaled(stage: Manifest, pods: int) -> Manifest:
    """The same, with another number of pods."""
    deployment = stage["Deployment NAME"]
    changed = {"Deployment NAME": deployment | {"spec": deployment["spec"] | {"replicas": pods}}}
    return stage | changed | {"status": stage["status"] | {"desiredReplicas": pods}}


def test_who_sees_children_of_the_past_undoes_nothing_of_the_present(
    meddler: Meddler, server: ApiServer, shared_namespace: str, start: Start, undisturbed: Undisturbed
) -> None:
    journey = start("outdated")
    journey.begin()
    journey.settle_as(undisturbed.stages[0])
    before = server.version("Deployment", shared_namespace)
    with meddler.meddling(Past(before, RESOURCES)):
        for edit in EDITS:
            journey.edit(edit)
            look_around(start, journey)
    journey.settle_as(undisturbed.stages[-1])
    assert journey.counts() == {PODS}
    eventually(lambda: journey.tallied(undisturbed.tallies[-1]))


def test_who_does_not_see_that_the_count_was_taken_back_does_not_drop_it(
    meddler: Meddler, server: ApiServer, shared_namespace: str, start: Start, undisturbed: Undisturbed
) -> None:
    journey = start("taken-back")
    journey.begin()
    journey.settle_as(undisturbed.stages[0])
    server.patch("Deployment", shared_namespace, f"{journey.name}/scale", {"spec": {"replicas": 5}})
    journey.settle_as(scaled(undisturbed.stages[0], 5))  # a later status would make its version one of the past
    before = server.version("Deployment", shared_namespace)
    with meddler.meddling(Past(before, RESOURCES)):
        journey.edit(DISABLED | {"replicas": 6})
        eventually(lambda: journey.counts() == {PODS, 5, 6})
        journey.edit(EDITS[-1])
        look_around(start, journey)
    journey.settle_as(scaled(undisturbed.stages[-1], 6))
    assert journey.counts() == {PODS, 5, 6}


def test_the_children_of_an_object_whose_end_is_not_known_yet_are_not_made_again(
    meddler: Meddler, server: ApiServer, shared_namespace: str, start: Start, undisturbed: Undisturbed
) -> None:
    ended, other = start("ended"), start("other")
    for journey in (ended, other):
        journey.begin()
        journey.serve()
    with meddler.meddling(Delayed({OBJECTS})):
        ended.end()
        server.delete("Service", shared_namespace, other.name)
        other.settle_as(undisturbed.stages[0])  # what happened before has been seen by then
    assert set(ended.tally().values()) == {1}


@pytest.mark.long
@pytest.mark.timeout(200)
def test_watches_that_fall_silent_without_an_end_are_given_up(
    meddler: Meddler, server: ApiServer, shared_namespace: str, start: Start, undisturbed: Undisturbed
) -> None:
    made, edited, damaged = (start(f"silent-{what}") for what in ("made", "edited", "damaged"))
    for journey in (edited, damaged):
        journey.begin()
        journey.serve()
    meddler.silence_streams()
    made.begin()
    edited.edit(EDITS[0])
    server.delete("Service", shared_namespace, damaged.name)
    for journey, stage in ((made, 0), (edited, 1), (damaged, 0)):
        journey.within = 120
        journey.settle_as(undisturbed.stages[stage])


def test_an_api_server_that_takes_no_requests_for_a_while_is_asked_again(
    meddler: Meddler, start: Start, undisturbed: Undisturbed
) -> None:
    journey = start("refused")
    overloaded = Overloaded()
    with meddler.meddling(overloaded):
        journey.begin()
        eventually(lambda: overloaded.refused >= 3)
        for edit in EDITS:
            journey.edit(edit)
    journey.settle_as(undisturbed.stages[-1])
    assert journey.counts() == {PODS}
    assert set(journey.tally().values()) == {1}


@pytest.mark.parametrize("verb", ["DELETE", "PATCH"])
def test_a_child_that_is_no_longer_wanted_goes_although_a_write_to_it_failed(
    verb: str, meddler: Meddler, start: Start, undisturbed: Undisturbed
) -> None:
    journey = start(f"failed-{verb.lower()}")
    journey.begin()
    for number, edit in enumerate(EDITS[:2], start=1):
        journey.edit(edit)
        journey.settle_as(undisturbed.stages[number])
    failed = Failed(verb, "ingresses")
    with meddler.meddling(failed):
        if verb == "PATCH":
            journey.edit({"traffic": {"routes": [{"host": "other.example.com"}]}})
            eventually(lambda: failed.over)
        journey.edit(EDITS[2])
        journey.settle_as(undisturbed.stages[3])
    assert failed.over


def test_a_second_for_each_answer_changes_nothing_but_the_time(
    meddler: Meddler, start: Start, undisturbed: Undisturbed
) -> None:
    journey = start("slow")
    journey.within = 60
    with meddler.meddling(Slow(1.0)):
        journey.begin()
        for edit in EDITS[:2]:
            journey.edit(edit)
        journey.settle_as(undisturbed.stages[2])
    assert journey.counts() == {PODS}
