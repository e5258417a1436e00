"""Prometheus metrics of the whole pod, from any of its workers.

A scrape reaches one worker of several. Without shared files, each scrape would show the counters of another worker, and
Prometheus would take the differences for restarts. prometheus-client stores the values of each worker in files of
PROMETHEUS_MULTIPROC_DIR and sums them. If the variable is not set, a worker reports only its own values.

Counters and histograms outlive their worker. Gauges are current values, so those of a dead worker are removed.
"""

import threading
from contextlib import AbstractAsyncContextManager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from shop.observation.tallies import BUCKETS, Durations, RequestTally, Tally
from shop.offload.write_behind import written_each
from shop.workers.slots import WorkerSlot

_INTERVAL_SECONDS = 0.1


class Metrics:
    """The metrics of one worker, and the exposition of those of all workers."""

    def __init__(self, slot: WorkerSlot | None) -> None:
        self._slot = slot
        self._collecting = threading.Lock()
        self._registry = registry = CollectorRegistry()
        self.requests = Counter("http_requests", "Requests answered.", ["method", "route", "status"], registry=registry)
        self.duration = Durations(
            "http_request_duration_seconds",
            "Time from a request to the end of its answer.",
            ["method", "route"],
            buckets=BUCKETS,
            registry=registry,
        )
        self.in_flight = Gauge(
            "http_requests_in_flight",
            "Requests being served, probes and scrapes apart.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.served = RequestTally(self.requests, self.duration, self.in_flight)
        self.shed = Counter("http_requests_shed", "Requests refused under overload.", ["reason"], registry=registry)
        self.unexpected_errors = Counter("unexpected_errors", "Requests that met a bug.", registry=registry)
        self.orders = Counter("orders", "Orders placed.", registry=registry)
        self.cache_lookups = Counter("cache_lookups", "Cache lookups.", ["result"], registry=registry)
        self.cache_hits = Tally(self.cache_lookups.labels("hit"))
        self.cache_misses = Tally(self.cache_lookups.labels("miss"))
        self.breaker_state = Gauge(
            "circuit_breaker_state",
            "0 closed, 1 half open, 2 open; the worst of the workers.",
            ["dependency"],
            multiprocess_mode="livemax",
            registry=registry,
        )
        self.database_connections = Gauge(
            "database_connections_in_use",
            "Connections borrowed from the pools.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.query_duration = Histogram(
            "database_query_duration_seconds", "Time of a query.", buckets=BUCKETS, registry=registry
        )
        self.worker_starts = Counter("worker_starts", "Worker processes started.", registry=registry)
        self.recycled = Counter("workers_recycled", "Workers that spent their error budget.", registry=registry)
        self.loop_lag = Gauge(
            "event_loop_lag_seconds",
            "Worst delay of a timer in the last seconds.",
            ["worker"],
            multiprocess_mode="livemax",
            registry=registry,
        )
        self.heartbeat = Gauge(
            "worker_heartbeat_timestamp_seconds",
            "When the event loop last turned, in Unix time.",
            ["worker"],
            multiprocess_mode="livemax",
            registry=registry,
        )
        self.resident_memory = Gauge(
            "process_resident_memory_bytes",
            "Memory that the worker holds in RAM.",
            ["worker"],
            multiprocess_mode="livemax",
            registry=registry,
        )

        self.config_digest = Gauge(
            "config_digest",
            "The first 48 bits of the digest of the settings file in force; the same in all workers once they agree.",
            ["worker"],
            multiprocess_mode="livemax",
            registry=registry,
        )

    def write_tallies(self) -> None:
        """Write the counts in memory to the shared files; call it on the event loop only."""
        for tally in (self.served, self.cache_hits, self.cache_misses):
            tally.write()

    def written(self) -> AbstractAsyncContextManager[None]:
        """Return a context manager that writes the tallies ten times a second, and the rest at its end."""
        return written_each(_INTERVAL_SECONDS, self._write)

    async def _write(self) -> None:
        self.write_tallies()

    def exposition(self) -> bytes:
        """Return the Prometheus text of all live workers; reads files, so call it in a thread."""
        if self._slot is None:
            return generate_latest(self._registry)
        with self._collecting:
            for number in self._slot.free_numbers():
                mark_process_dead(number, str(self._slot.directory))  # type: ignore[no-untyped-call]
            registry = CollectorRegistry()
            MultiProcessCollector(registry, str(self._slot.directory))  # type: ignore[no-untyped-call]
            return generate_latest(registry)


def worker_metrics(slot: WorkerSlot | None) -> Metrics:
    """Return the metrics of this worker, in files that the workers of the other slots read."""
    if slot is not None:
        # The gauges of a dead worker would become the first values of this one.
        mark_process_dead(slot.number, str(slot.directory))  # type: ignore[no-untyped-call]
        values.ValueClass = values.MultiProcessValue(process_identifier=lambda: slot.number)  # type: ignore[no-untyped-call]
    return Metrics(slot)
