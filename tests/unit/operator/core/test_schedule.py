"""Times of a cron expression, and which expressions there are."""

import re
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim, CronSimError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hca_operator.core.cron import Schedule
from hca_operator.core.errors import SpecError
from hca_operator.core.timestamps import parse_time, time_text
from hca_operator.restarts.requested import restart_schedule
from tests.unit.operator.objects import spec


def at(text: str) -> datetime:
    return parse_time(text)


def times(cron: str, zone: str, after: str, count: int) -> list[str]:
    return [time_text(tick) for tick in islice(Schedule(cron, ZoneInfo(zone)).after(at(after)), count)]


def test_a_time_is_read_in_its_zone() -> None:
    assert times("0 3 * * *", "Europe/Berlin", "2026-01-10T00:00:00Z", 2) == [
        "2026-01-10T02:00:00Z",
        "2026-01-11T02:00:00Z",
    ]


def test_a_time_that_the_clock_leaves_out_comes_a_moment_later() -> None:
    assert times("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2) == [
        "2026-03-29T01:00:00Z",
        "2026-03-30T00:30:00Z",
    ]


@pytest.mark.parametrize("after", ["2026-10-25T00:00:00Z", "2026-10-25T00:45:00Z", "2026-10-25T01:15:00Z"])
def test_a_time_that_comes_twice_is_taken_once_and_never_before_the_moment_asked_for(after: str) -> None:
    expected = ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z", "2026-10-27T01:30:00Z"]
    assert times("30 2 * * *", "Europe/Berlin", after, 2) == [tick for tick in expected if tick > after][:2]


@settings(deadline=None)
@given(
    start=st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001
    cron=st.sampled_from(["0 3 * * *", "*/20 * * * *", "30 2 * * 0", "15 1-3 * * *"]),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
)
def test_times_go_forward_and_the_last_of_a_span_is_the_last_of_those_in_it(
    start: datetime, cron: str, zone: str
) -> None:
    schedule = Schedule(cron, ZoneInfo(zone))
    found = list(islice(schedule.after(start), 5))
    assert all(earlier < later for earlier, later in pairwise([start, *found]))
    assert schedule.last(start, found[3]) == found[3]
    assert schedule.last(start, start) is None


@settings(deadline=None)
@given(
    change=st.sampled_from(
        [("Europe/Berlin", "2026-10-25T01:00:00Z"), ("Europe/Berlin", "2026-03-29T01:00:00Z"),
         ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"), ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
         ("America/New_York", "2026-11-01T06:00:00Z"), ("Africa/Casablanca", "2026-02-15T02:00:00Z")]
    ),
    cron=st.sampled_from(["30 2 * * *", "*/20 * * * *", "30 1 * * *", "15 1-3 * * *", "0,30 1,2 * * *", "45 * * * *"]),
    minutes=st.integers(-300, 600),
)  # fmt: skip
@example(change=("Australia/Lord_Howe", "2026-04-04T15:00:00Z"), cron="45 * * * *", minutes=30)
def test_the_last_time_is_the_last_of_all_before_it_also_where_clocks_change(
    change: tuple[str, str], cron: str, minutes: int
) -> None:
    zone, moment = change[0], at(change[1]) + timedelta(minutes=minutes)
    schedule = Schedule(cron, ZoneInfo(zone))
    ticks = takewhile(lambda tick: tick <= moment, schedule.after(at(change[1]) - timedelta(days=2)))
    assert schedule.before(moment) == max(ticks)


@pytest.mark.parametrize(
    ("written", "numbers"),
    [
        ("00 03 * * *", "0 3 * * *"),
        ("05  03 01 09 *", "5 3 1 9 *"),
        ("0 3 * jan-Mar MON-FRI", "0 3 * 1-3 1-5"),
        ("0 3 * * sat-sun,WED", "0 3 * * 6,0,3"),
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@Midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
    ],
)
def test_every_form_that_cron_knows_names_the_times_of_its_numbers(written: str, numbers: str) -> None:
    accepted = spec(restartSchedule={"cron": written}).restart_schedule
    assert accepted is not None
    after = "2026-01-10T00:00:00Z"
    assert times(accepted.cron, "Europe/Berlin", after, 9) == times(numbers, "Europe/Berlin", after, 9)


fields = [(0, 59), (0, 23), (1, 28), (1, 12), (0, 7)]
NAMES = [
    [],
    [],
    [],
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
]


@st.composite
def crons(draw: st.DrawFn) -> str:
    def term(least: int, most: int, names: list[str]) -> str:
        first, last = sorted(draw(st.tuples(st.integers(least, most), st.integers(least, most))))
        named = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True)) if names else ["*"]
        by_name = "-".join(sorted(named, key=names.index)) if names else "*"
        body = draw(st.sampled_from(["*", str(first), f"{first:02}", f"{first}-{last}", by_name]))
        return body + draw(st.sampled_from(["", "", "/2", "/15", "/99"]))

    return " ".join(
        ",".join(term(*bounds, names) for _ in range(draw(st.integers(1, 3))))
        for bounds, names in zip(fields, NAMES, strict=True)
    )


@settings(deadline=None)
@given(cron=crons())
def test_what_the_models_accept_the_library_reads(cron: str) -> None:
    accepted = spec(restartSchedule={"cron": cron})
    assert accepted.restart_schedule is not None
    Schedule(accepted.restart_schedule.cron, ZoneInfo("UTC"))


@settings(deadline=None)
@given(text=st.text(alphabet="0123456789*/,- LW#", max_size=20))
def test_what_the_library_refuses_the_models_refuse_or_name_the_day(text: str) -> None:
    try:
        CronSim(text, datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError:
        with pytest.raises((ValueError, SpecError)):
            restart_schedule(spec(restartSchedule={"cron": text}))


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (
            {"cron": "0 3 31 2 *"},
            "spec.restartSchedule.cron: '0 3 31 2 *' names a day that none of its months has",
        ),
        (
            {"cron": "0 3 * * *", "timeZone": "Europe/Berlyn"},
            "spec.restartSchedule.timeZone: 'Europe/Berlyn' is no known time zone: use a name of the IANA database",
        ),
    ],
)
def test_what_the_api_server_cannot_know_is_said_with_the_field(schedule: dict[str, str], message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        restart_schedule(spec(restartSchedule=schedule))


@pytest.mark.parametrize("zone", ["America", "A/B/C"])
def test_a_folder_of_time_zones_is_none(zone: str) -> None:
    with pytest.raises(SpecError, match="no known time zone"):
        restart_schedule(spec(restartSchedule={"cron": "0 3 * * *", "timeZone": zone}))


@pytest.mark.parametrize(
    "text", ["", "now", "2026-03-01", "2026-03-01T03:00:00", "2026-02-30T03:00:00Z", "0001-01-01T00:00:00+14:00",
             "20260301T030000Z", "2026-03-01T25:00:00Z", "2026-03-01 03:00:00Z"],
)  # fmt: skip
def test_what_is_no_rfc_3339_time_is_refused_with_what_is(text: str) -> None:
    with pytest.raises(ValueError, match="is not an RFC 3339 time such as 2026-03-01T03:00:00Z"):
        parse_time(text)


@pytest.mark.parametrize(
    "text", ["2026-03-01T03:00:00Z", "2026-03-01T04:00:00+01:00", "2026-03-01t03:00:00.5z", "2026-02-28T22:00:00-05:00"]
)
def test_an_rfc_3339_time_is_read_whatever_its_offset(text: str) -> None:
    assert parse_time(text) - at("2026-03-01T03:00:00Z") < timedelta(seconds=1)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("cron", "zone", "moment", "last"),
    [
        ("0 * * * SAT", "America/Nuuk", "2026-03-29T11:06:44Z", "2026-03-29T00:00:00Z"),
        ("52-54 * * * FRI,SAT", "America/Santiago", "2026-04-05T15:24:33Z", "2026-04-05T03:54:00Z"),
        ("17 * * * SUN,THU", "Africa/Cairo", "2026-10-30T14:37:09Z", "2026-10-29T21:17:00Z"),
        ("58 */22 * * *", "Australia/Lord_Howe", "2026-10-03T23:00:04Z", "2026-10-03T14:28:00Z"),
    ],
)
def test_fault_73_the_last_time_is_found_where_the_clock_changes_at_midnight(
    cron: str, zone: str, moment: str, last: str
) -> None:
    """Backwards, cronsim never came to an end in Nuuk, and with it the event loop; elsewhere it left times out."""
    assert time_text(Schedule(cron, ZoneInfo(zone)).before(parse_time(moment))) == last
