"""What is read from the text that a pod shows, held against the parser and the writers of prometheus_client."""

import math
from collections.abc import Collection, Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from hca_operator.api.metric_types import CONCURRENCY, LATENCY, REQUESTS_PER_SECOND
from hca_operator.metrics_server.samples.exposition import (
    LONGEST_CACHED_BYTES,
    MOST_BOUNDS,
    MOST_SERIES,
    Exposition,
    PodSample,
    Unreadable,
    _cached,
)
from shop.observation.metrics import Metrics

IGNORED = ("/metrics", "/health")


def sample(text: str) -> PodSample:
    return read(text, IGNORED)


def read(text: str, ignored: Collection[str]) -> PodSample:
    exposition = Exposition(ignored)
    exposition.feed(text.encode())
    return exposition.result()


def test_the_sample_app_exposes_everything_and_its_probes_and_scrapes_are_no_load() -> None:
    metrics = Metrics(None)
    for route, seconds in [("/products", 0.02), ("/products", 0.3), ("/orders", 40), ("/health", 1), ("/metrics", 1)]:
        metrics.requests.labels("GET", route, "200").inc()
        metrics.duration.labels("GET", route).observe(seconds)
    metrics.in_flight.inc(7)
    metrics.loop_lag.labels("0").set(0.004)
    metrics.loop_lag.labels("1").set(0.25)
    reported = sample(metrics.exposition().decode())
    assert (reported.requests, reported.in_flight, reported.loop_lag) == (3, 7, 0.25)
    assert reported.buckets is not None
    assert {bound: reported.buckets[bound] for bound in (0.01, 0.025, 0.25, 0.5, 30, math.inf)} == {
        0.01: 0, 0.025: 1, 0.25: 1, 0.5: 2, 30: 2, math.inf: 3,
    }  # fmt: skip


def test_openmetrics_with_exemplars_and_times_says_the_same_as_prometheus_text() -> None:
    registry = CollectorRegistry()
    requests = Counter("http_requests", "Requests.", ["path"], registry=registry)
    duration = Histogram("http_server_request_duration_seconds", "Time.", ["http_route"], registry=registry)
    requests.labels("/a").inc(3, exemplar={"trace_id": "4bf9 } # {"})
    duration.labels("/a").observe(0.2, exemplar={"trace_id": "4bf9"})
    reported = sample(openmetrics.generate_latest(registry).decode())  # type: ignore[no-untyped-call]
    assert "# {" in openmetrics.generate_latest(registry).decode()  # type: ignore[no-untyped-call]
    assert reported == sample(generate_latest(registry).decode())
    assert reported.requests == 1, "the histogram comes before the counter"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", PodSample()),
        ("http_requests_total 5", PodSample(requests=5)),
        ('  http_requests_total{ path = "/a" , } 5 1700000000000 \r\n', PodSample(requests=5)),
        ('http_requests_total{path="/a"} 5\nhttp_requests_total{path="/b"} 6.5\n', PodSample(requests=11.5)),
        ('http_requests_total{handler="/metrics/"} 5\nhttp_requests_total{path="/health"} 9', PodSample(requests=0)),
        ("http_requests_total_of_others 5\nmy_http_requests_total 5\nhttp_requests_created 5", PodSample()),
        ("http_requests_inprogress 3\nhttp_requests_in_flight 2", PodSample(in_flight=2)),
        ('http_server_active_requests{http_request_method="GET"} 3', PodSample(in_flight=3)),
        ('event_loop_lag_seconds{worker="1"} 2e-3\nevent_loop_lag_seconds{worker="0"} 0.5', PodSample(loop_lag=0.5)),
        ("# TYPE http_requests counter\n", PodSample(requests=0)),
        ("# TYPE http_requests_total counter\r\n", PodSample(requests=0)),
        ("# TYPE http_request_duration_seconds histogram", PodSample(requests=0, buckets={math.inf: 0})),
        ("# TYPE http_request_duration_seconds summary\nhttp_request_duration_seconds_count 7", PodSample()),
        ("# TYPE http_requests_in_flight gauge", PodSample()),
        ('http_request_duration_seconds_bucket{le="0.1"} 7', PodSample()),
    ],
)  # fmt: skip
def test_what_is_absent_is_unknown_and_what_is_declared_but_never_counted_is_nothing(
    text: str, expected: PodSample
) -> None:
    assert sample(text) == expected


@pytest.mark.parametrize("number", ["NaN", "nan", "+Inf", "-Inf", "-1", "1e300"])
@pytest.mark.parametrize("name", ["http_requests_total", "http_requests_in_flight", "event_loop_lag_seconds"])
def test_a_number_that_cannot_be_true_is_unknown(name: str, number: str) -> None:
    assert sample(f'{name}{{worker="0"}} 1\n{name}{{worker="1"}} {number}\n{name}{{worker="2"}} 1') == PodSample()


def test_a_histogram_with_an_impossible_bucket_gives_no_latency() -> None:
    name = "http_request_duration_seconds_bucket"
    reported = sample(f'{name}{{le="1"}} NaN\n{name}{{le="+Inf"}} 3\nhttp_requests_total 9')
    assert reported == PodSample(requests=3)


@pytest.mark.parametrize(
    "line",
    [
        "http_requests_total",
        "http_requests_total ",
        "http_requests_total five",
        'http_requests_total{path="/a" 5',
        'http_requests_total{path="/a""} 5',
        "http_requests_total{path=/a} 5",
        'http_requests_total{path="/a} 5',
        'http_requests_total{path="/a"}',
        'http_requests_total{a="b" c="d"} 5',
        "http_request_duration_seconds_bucket 5",
        'http_request_duration_seconds_bucket{le="NaN"} 5',
        'http_request_duration_seconds_bucket{le="fast"} 5',
    ],
)
def test_a_line_that_cannot_be_read_is_named(line: str) -> None:
    with pytest.raises(Unreadable, match=r"^line 3 of its metrics must be a name, labels in braces and a number"):
        sample(f"# HELP http_requests_total Requests.\nother five\n{line}\nhttp_requests_total 5")


def test_an_answer_may_come_in_pieces() -> None:
    exposition = Exposition(IGNORED)
    for piece in (b"# HELP something\nhttp_requests_in_flight 3", b"", b'http_requests_total{path="/a"} 5', b"\n"):
        exposition.feed(piece)
    assert exposition.result() == PodSample(requests=5, in_flight=3)
    with pytest.raises(Unreadable, match=r"^line 7 of its metrics"):
        exposition.feed(b"http_requests_total five")


@pytest.mark.parametrize("declared", [
    "# TYPE http_request_duration_seconds histogram",
    'http_request_duration_seconds_bucket{le="0.1"} 0\nhttp_request_duration_seconds_bucket{le="+Inf"} 0',
])  # fmt: skip
def test_fault_43_a_histogram_that_has_counted_nothing_hides_no_counter_that_counts(declared: str) -> None:
    assert sample(f"{declared}\nhttp_requests_total 5000").requests == 5000
    assert sample(f'{declared}\nhttp_requests_total{{path="/health"}} 5000').requests == 0
    assert sample(f"{declared}\nhttp_requests_total 0").requests == 0


def test_a_histogram_that_has_counted_probes_alone_is_the_one_that_counts() -> None:
    name = "http_request_duration_seconds_bucket"
    reported = sample(
        f'{name}{{route="/health",le="1"}} 7\n{name}{{route="/health",le="+Inf"}} 7\nhttp_requests_total 7'
    )
    assert reported.requests == 0


def test_fault_43_of_routes_with_different_buckets_those_count_that_all_have() -> None:
    buckets = {"/a": ("0.1", "0.5", "+Inf"), "/b": ("0.5", "2.5", "+Inf")}
    lines = [
        f'http_request_duration_seconds_bucket{{route="{route}",le="{bound}"}} 10'
        for route, bounds in buckets.items()
        for bound in bounds
    ]
    assert sample("\n".join(lines)).buckets == {0.5: 20, math.inf: 20}


def test_fault_43_labels_of_any_length_are_read_and_take_no_room_in_the_cache() -> None:
    _cached.cache_clear()
    text = 'http_requests_total{path="/%s"} 1'
    assert sample(text % ("ä" * 5000)).requests == 1
    assert _cached.cache_info().currsize == 0
    assert sample(text % "a").requests == 1
    assert _cached.cache_info().currsize == 1
    assert LONGEST_CACHED_BYTES * (_cached.cache_info().maxsize or math.inf) <= 8 * 2**20


def test_fault_43_more_buckets_than_any_app_needs_are_refused_with_what_to_do() -> None:
    text = "".join(f'http_request_duration_seconds_bucket{{le="{bound}"}} 1\n' for bound in range(MOST_BOUNDS + 1))
    with pytest.raises(Unreadable, match=f"has more than {MOST_BOUNDS} buckets: give it fewer bounds"):
        sample(text)


def test_lines_of_other_metrics_are_not_even_read() -> None:
    assert sample('<html>\nother{{{ five\nhttp_requests_total{path="/a"} 5\n') == PodSample(requests=5)


def test_more_series_than_routes_can_have_are_refused_with_what_to_do() -> None:
    text = "".join(f'http_requests_total{{path="/{number}"}} 1\n' for number in range(MOST_SERIES + 1))
    assert sample(text[: text.rindex("http")]).requests == MOST_SERIES
    with pytest.raises(Unreadable, match="pattern of the route"):
        sample(text)


COUNTS = st.dictionaries(st.text(max_size=8), st.integers(0, 2**40), min_size=1, max_size=5)


@example(counts={"\0": 0}, seconds=[], in_flight=1)
@given(counts=COUNTS, seconds=st.lists(st.floats(0, 100), max_size=5), in_flight=st.integers(0, 10**6))
def test_any_labels_are_read_as_prometheus_client_reads_them(
    counts: Mapping[str, int], seconds: list[float], in_flight: int
) -> None:
    registry = CollectorRegistry()
    requests = Counter(REQUESTS_PER_SECOND.series[0], "Requests.", ["path"], registry=registry)
    duration = Histogram(LATENCY.histograms[1], 'Time "\n\\', ["route"], registry=registry)
    gauge = Gauge(CONCURRENCY.series[2], "In flight.", ["method"], registry=registry)
    for path, count in counts.items():
        requests.labels(path).inc(count)
        for each in seconds:
            duration.labels(path).observe(each)
        gauge.labels(path).set(in_flight)
    ignored = min(counts)
    text = generate_latest(registry).decode()
    counter_alone = "\n".join(line for line in text.split("\n") if line.startswith(REQUESTS_PER_SECOND.series[0]))
    reported, counted = read(text, [ignored]), read(counter_alone, [ignored])

    def expected(name: str, **labels: str) -> float:
        return sum(
            series.value
            for family in text_string_to_metric_families(text)
            for series in family.samples
            if series.name == name and labels.items() <= series.labels.items()
            if bare(ignored)
            not in {bare(value) for label, value in series.labels.items() if label in {"path", "route"}}
        )

    def bare(path: str) -> str:
        return path.partition("?")[0].rstrip("/")

    assert counted.requests == expected(REQUESTS_PER_SECOND.series[0])
    assert reported.requests == expected(f"{LATENCY.histograms[1]}_count" if seconds else REQUESTS_PER_SECOND.series[0])
    assert reported.buckets is not None
    assert reported.buckets.get(0.5, 0) == expected(f"{LATENCY.histograms[1]}_bucket", le="0.5")
    assert reported.in_flight == expected(CONCURRENCY.series[2])


@given(text=st.text(st.sampled_from('http_requests_total{}",=\\ /a5.e+#\n'), max_size=60))
def test_whatever_a_pod_shows_is_read_or_refused(text: str) -> None:
    try:
        reported = sample(f"http_requests_total{text}")
    except Unreadable:
        return
    assert reported.requests is None or reported.requests >= 0
