"""What is asked of an Envoy, and what its answers mean."""

import math
import re
from dataclasses import replace
from urllib.parse import parse_qs

import pytest

from hca_operator.metrics_server.ingress.envoy import ClusterCounts, Statistics, sample, statistics_filter
from hca_operator.metrics_server.samples.exposition import PodSample

TEXT = """\
# TYPE envoy_cluster_upstream_cx_none_healthy counter
envoy_cluster_upstream_cx_none_healthy{envoy_cluster_name="default_cart_80"} 0
envoy_cluster_upstream_cx_none_healthy{envoy_cluster_name="default_shop_80"} 2
# TYPE envoy_cluster_upstream_rq_pending_overflow counter
envoy_cluster_upstream_rq_pending_overflow{envoy_cluster_name="default_shop_80"} 1
# TYPE envoy_cluster_upstream_rq_total counter
envoy_cluster_upstream_rq_total{envoy_cluster_name="default_cart_80"} 0
envoy_cluster_upstream_rq_total{envoy_cluster_name="default_shop_80"} 40
# TYPE envoy_cluster_upstream_rq_active gauge
envoy_cluster_upstream_rq_active{envoy_cluster_name="default_cart_80"} 0
envoy_cluster_upstream_rq_active{envoy_cluster_name="default_shop_80"} 5
# TYPE envoy_cluster_upstream_rq_pending_active gauge
envoy_cluster_upstream_rq_pending_active{envoy_cluster_name="default_shop_80"} 3
# TYPE envoy_cluster_upstream_rq_time histogram
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="default_shop_80",le="0.5"} 1
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="default_shop_80",le="250"} 30
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="default_shop_80",le="+Inf"} 35
envoy_cluster_upstream_rq_time_sum{envoy_cluster_name="default_shop_80"} 105.8095238095238102005168912001
envoy_cluster_upstream_rq_time_count{envoy_cluster_name="default_shop_80"} 35
"""
SHOP = ClusterCounts(sent=40, without_room=1, without_pod=2, in_flight=8, times={0.0005: 1, 0.25: 30, math.inf: 35})
IDLE = ClusterCounts(sent=0, without_room=0, without_pod=0, in_flight=0, times={math.inf: 0})


def counts(text: str) -> dict[str, ClusterCounts]:
    statistics = Statistics()
    statistics.feed(text.encode())
    return statistics.result()


def test_each_cluster_is_read_in_requests_and_seconds() -> None:
    assert counts(TEXT) == {"default_shop_80": SHOP, "default_cart_80": IDLE}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>no statistics here</html>",
        'envoy_cluster_upstream_rq_active{envoy_cluster_name="default_shop_80"} 5\n',
        'envoy_cluster_upstream_rq_total{envoy_cluster_name="default_shop_80"} NaN\n',
        'envoy_cluster_upstream_rq_total{envoy_cluster_name="default_shop_80"} -1\n',
        'envoy_cluster_upstream_rq_total{envoy_cluster_name="default_shop_80" 5\n',
    ],
)
def test_statistics_without_a_number_of_requests_give_no_cluster(text: str) -> None:
    assert counts(text) == {}


def test_the_question_is_for_these_clusters_and_what_matters_of_them() -> None:
    (pattern,) = parse_qs(statistics_filter(["default_shop_80", "default_cart_80"]), strict_parsing=True)["filter"]

    def asked(name: str) -> bool:
        return re.search(pattern, name) is not None

    assert all(
        asked(f"cluster.{cluster}.upstream_{what}")
        for cluster in ("default_shop_80", "default_cart_80")
        for what in ("rq_total", "rq_active", "rq_pending_active", "rq_pending_overflow", "cx_none_healthy", "rq_time")
    )
    others = ("cluster.default_shop_8080.upstream_rq_total", "cluster.other_default_shop_80.upstream_rq_total")
    counts = ("cluster.default_shop_80.upstream_rq_retry", "cluster.default_shop_80.upstream_rq_total_more")
    assert not any(map(asked, (*others, *counts)))


def test_the_first_counts_are_taken_as_they_are() -> None:
    expected = PodSample(requests=43, buckets={0.0005: 1, 0.25: 30, math.inf: 35}, in_flight=8)
    assert sample(SHOP, None) == expected
    assert sample(SHOP, SHOP) == expected
    assert sample(IDLE, IDLE) == PodSample(requests=0, buckets={math.inf: 0}, in_flight=0)


def test_while_no_pod_is_ready_only_the_requests_that_come_are_given() -> None:
    later = replace(SHOP, without_pod=9, in_flight=0)
    assert sample(later, SHOP) == PodSample(requests=50, buckets=None, in_flight=None)


def test_what_waits_in_vain_is_load_and_the_rest_is_given_as_ever() -> None:
    later = replace(SHOP, without_room=100, in_flight=1024, times={math.inf: 36})
    assert sample(later, SHOP) == PodSample(requests=142, buckets={math.inf: 36}, in_flight=1024)


def test_times_that_stand_still_are_given_only_where_no_request_came() -> None:
    assert sample(replace(SHOP, sent=50), SHOP) == PodSample(requests=53, buckets=None, in_flight=8)
    assert sample(replace(SHOP, in_flight=7), SHOP).buckets == SHOP.times
