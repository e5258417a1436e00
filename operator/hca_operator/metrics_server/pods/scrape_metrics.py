"""Metrics of the scrapes."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class ScrapeMetrics:
    """Number, results and durations of the scrapes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._scrapes = Counter(
            "hca_scrapes_total",
            "Scrapes of pods by result: read, unreachable, refused, unreadable.",
            ["result"], registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "hca_scrape_seconds", "Duration of a scrape, the parsing included.", registry=registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
        )  # fmt: skip

    def observe(self, result: str, seconds: float) -> None:
        """Count a scrape."""
        self._scrapes.labels(result).inc()
        self._seconds.observe(seconds)

    def watch(self, apis: Callable[[], float], pods: Callable[[], float]) -> None:
        """Export how many objects and pods are scraped, which is read at each scrape of this process."""
        for name, help_text, read in (
            ("hca_scraped_apis", "APIs whose pods are scraped.", apis),
            ("hca_scraped_pods", "Pods that are scraped.", pods),
        ):
            Gauge(name, help_text, registry=self._registry).set_function(read)
