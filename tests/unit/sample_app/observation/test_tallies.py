from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from shop.observation.tallies import BUCKETS, Durations, RequestTally, Tally

ANSWERS = st.lists(
    st.tuples(
        st.sampled_from(["GET", "POST"]),
        st.sampled_from(["/products", "/carts"]),
        st.sampled_from([200, 503]),
        # Numbers that add up to the same in any order; the first two are bounds of buckets.
        st.sampled_from([0.5, 1.0, 0.25, 0.0625, 0.0, 64.0]),
    )
)


def exposition(answer: Callable[[RequestTally], None], *, durations: type[Histogram] = Durations) -> str:
    registry = CollectorRegistry()
    requests = Counter("requests", "Requests.", ["method", "route", "status"], registry=registry)
    duration = durations("duration", "Time.", ["method", "route"], buckets=BUCKETS, registry=registry)
    in_flight = Gauge("in_flight", "Under way.", registry=registry)
    answer(RequestTally(requests, duration, in_flight))  # type: ignore[arg-type]
    return "\n".join(sorted(line for line in generate_latest(registry).decode().splitlines() if "_created" not in line))


@given(first=ANSWERS, second=ANSWERS)
def test_what_is_tallied_shows_as_if_each_request_had_been_written(
    first: list[tuple[str, str, int, float]], second: list[tuple[str, str, int, float]]
) -> None:
    def tallied(tally: RequestTally) -> None:
        for answers in (first, second, []):
            for answer in answers:
                tally.note(*answer)
            tally.write()

    def written(tally: RequestTally) -> None:
        for method, route, status, seconds in first + second:
            tally._requests.labels(method, route, str(status)).inc()
            tally._durations.labels(method, route).observe(seconds)

    assert exposition(tallied) == exposition(written, durations=Histogram)


def test_what_was_written_is_not_written_again() -> None:
    registry = CollectorRegistry()
    tally = Tally(Counter("lookups", "Lookups.", registry=registry))
    for _ in range(3):
        tally.unwritten += 2
        tally.write()
        tally.write()

    assert registry.get_sample_value("lookups_total") == 6
