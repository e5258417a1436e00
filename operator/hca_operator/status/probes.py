"""Why the probes of a pod fail, from the kubelet's events.

The kubelet sends at most 25 Events about a pod at once and one each five minutes after that. So a missing Event does
not mean that the probe succeeds; but at the last time of an Event, the probe failed.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from hca_operator.api.spec import HighConcurrencyApiSpec
from hca_operator.api.status import Problem, Reason
from hca_operator.core.durations import parse_duration
from hca_operator.core.names import CONTAINER, Manifest
from hca_operator.core.observed import condition
from hca_operator.core.timestamps import time_of
from hca_operator.status.containers import Container, containers_of, own_container

UNHEALTHY = "Unhealthy"
"""Reason of the kubelet's events about probes that fail."""
_KILLED = {0, 137, 143}
"""Exit codes of a container that ended on SIGTERM (0, 143) or was killed after it (137)."""
_KINDS = ("Startup", "Liveness", "Readiness")
_FAILED_PROBE = re.compile(r"(Startup|Liveness|Readiness) probe (?:failed|errored)")
"""Not anchored: the kubelet puts "(combined from similar events): " before messages that differ."""
_CONTAINER_FIELD = re.compile(r"\{([^{}]+)\}")
"""The name in `spec.containers{api}`."""

_GATE = re.compile(r'readiness gate "([^"]+)"')
GATE_PATIENCE = timedelta(minutes=1)
"""For how long a readiness gate may be unset while all containers are ready: load balancers take that long."""


@dataclass(frozen=True)
class Probe:
    """A probe of the API's container."""

    kind: str
    """Startup, Liveness or Readiness."""
    path: str | None
    """Path of its HTTP request; None for a TCP probe."""
    port: int
    timeout_seconds: int

    @property
    def field(self) -> str:
        """The field of the spec that sets the path."""
        return f"spec.health.{'readinessPath' if self.kind == 'Readiness' else 'livenessPath'}"

    @property
    def asked(self) -> str:
        """What the probe does."""
        return f"a connection to port {self.port}" if self.path is None else f"GET {self.path} on port {self.port}"

    @property
    def reason(self) -> Reason:
        """Reason of the condition if it fails."""
        return Reason.READINESS_FAILING if self.kind == "Readiness" else Reason.LIVENESS_FAILING


class _Failure(NamedTuple):
    """A pattern in the kubelet's message about a failed probe, and its meaning."""

    said: re.Pattern[str]
    meaning: str
    """`{probe}` is the probe, `{0}` is the first group of `said`."""
    reason: Reason | None = None
    """None for `Probe.reason`."""
    readiness_reason: Reason | None = None
    """The reason for a readiness probe, if it differs."""

    def problem(self, probe: Probe, match: re.Match[str]) -> Problem:
        """The problem for a probe that failed with that match of `said`."""
        reason = (self.readiness_reason if probe.kind == "Readiness" else None) or self.reason or probe.reason
        return Problem(reason, self.meaning.format(*match.groups(), probe=probe))


_FAILURES: Sequence[_Failure] = (
    _Failure(
        re.compile(r"statuscode: 404"),
        "{probe.asked} answers 404: set {probe.field} to a path that answers 200 while the API can serve",
        readiness_reason=Reason.READINESS_PATH_NOT_FOUND,
    ),
    _Failure(
        re.compile(r"connection refused"),
        "nothing listens on port {probe.port} in the container: set spec.port to the port on which the API listens, "
        "and let it listen on all addresses (0.0.0.0), not on 127.0.0.1 alone",
        Reason.NOTHING_LISTENS,
    ),
    _Failure(
        re.compile(r"malformed HTTP|malformed MIME|gave HTTP response to HTTPS"),
        "{probe.asked} is not answered in HTTP/1.1: let the API speak HTTP/1.1 without TLS on this port, or set "
        "spec.port to the one where it does",
    ),
    _Failure(
        re.compile(r"statuscode: 400"),
        "{probe.asked} answers 400 to the kubelet, whose Host header is the address of the pod: allow every host on "
        "that path, or set {probe.field} to a path that does. An API that expects TLS on this port may do so, too",
    ),
    _Failure(
        re.compile(r"deadline exceeded|Client\.Timeout|i/o timeout|timed out"),
        "{probe.asked} is not answered within {probe.timeout_seconds} seconds: all workers are busy or blocked. Add "
        "workers or pods, keep blocking work out of the event loop, or raise spec.health.timeoutSeconds",
    ),
    _Failure(
        re.compile(r"\bEOF\b|connection reset|broken pipe"),
        "{probe.asked} is cut off: the API closes the connection without an answer. Its log may say why; an API that "
        "expects TLS on this port does so, too",
    ),
    _Failure(
        re.compile(r"statuscode: (\d{3})"),
        "{probe.asked} answers {0} instead of 200: the API says that it cannot serve",
    ),
)
"""If several match, the first one is reported."""


def probe_problem(
    spec: HighConcurrencyApiSpec, pod: Manifest, events: Iterable[Manifest], now: datetime
) -> Problem | None:
    """Why the probes of the API's container fail; None if they do not, or if it still has time to start."""
    container = own_container(pod)
    probes = {probe.kind: probe for probe in _judged_probes(spec, container, now)}
    failures = [
        (probe, message)
        for kind, name, message in _failures(spec, pod, events)
        if name in {None, CONTAINER} and (probe := probes.get(kind))
        if probe.path or "HTTP" not in message  # else an Event from before the path was removed from the object
    ]
    for failure in _FAILURES:
        found = [failure.problem(probe, match) for probe, text in failures if (match := failure.said.search(text))]
        if found:
            return min(found, key=lambda problem: (problem.reason != Reason.READINESS_FAILING, problem.message))
    return None


def sidecar_probe_problem(spec: HighConcurrencyApiSpec, pod: Manifest, events: Iterable[Manifest]) -> Problem | None:
    """The sidecar whose failed probe keeps the pod unready although the API is ready; None if there is none."""
    if not own_container(pod).status.get("ready"):
        return None
    failing = {name for _, name, _ in _failures(spec, pod, events)}
    unready = [
        each for each in containers_of(pod) if not each.status.get("ready") and each.status.get("name") in failing
    ]
    if not unready:
        return None
    return Problem(
        Reason.READINESS_FAILING,
        f"{min(each.title for each in unready)} fails its probe, so the pod gets no requests though the API is ready: "
        "kubectl describe pod and the log of that container say why",
    )


def gate_problem(pod: Manifest, now: datetime) -> Problem | None:
    """The readiness gates that keep a pod unready although its containers are ready; None if there are none."""
    ready, since = condition(pod, "Ready"), time_of(condition(pod, "ContainersReady"), "lastTransitionTime")
    if ready.get("reason") != "ReadinessGatesNotReady" or since is None or now - since < GATE_PATIENCE:
        return None
    gates = ", ".join(sorted(set(_GATE.findall(ready.get("message", "")))))
    return Problem(
        Reason.READINESS_FAILING,
        f"the containers of a pod are ready, but its readiness gate {gates} is not: see the log of the controller "
        "that sets this condition, such as that of a load balancer",
    )


def killed_by_probe(spec: HighConcurrencyApiSpec, container: Container) -> bool:
    """Whether the kubelet seems to have ended a container because a probe failed."""
    ended = container.ended
    if ended is None or ended.get("exitCode") not in _KILLED or ended.get("reason") == "OOMKilled":
        return False
    started, finished = time_of(ended, "startedAt"), time_of(ended, "finishedAt")
    if started is None or finished is None:
        return False
    health = spec.health
    least = min(parse_duration(health.startup_timeout), health.failure_threshold * health.period_seconds)
    return finished - started >= timedelta(seconds=least - 1)


def _judged_probes(spec: HighConcurrencyApiSpec, container: Container, now: datetime) -> Iterator[Probe]:
    """The probes whose failures are a problem: none if the container is ready or still has time to start."""
    health = spec.health
    paths = (health.liveness_path, health.liveness_path, health.readiness_path)
    startup, liveness, readiness = (
        Probe(kind, path, spec.port, health.timeout_seconds) for kind, path in zip(_KINDS, paths, strict=True)
    )
    running = container.status.get("state", {}).get("running")
    if container.status.get("ready"):
        return
    if running is not None and container.status.get("started", True):
        yield from (liveness, readiness)
    elif killed_by_probe(spec, container):
        yield from (startup, liveness, readiness)
    elif running is not None:
        started = time_of(running, "startedAt") or now
        if now - started >= timedelta(seconds=parse_duration(health.startup_timeout)) / 2:
            yield startup


def _failures(
    spec: HighConcurrencyApiSpec, pod: Manifest, events: Iterable[Manifest]
) -> Iterator[tuple[str, str | None, str]]:
    """Kind of the probe, name of the container (None if the Event has none) and message of each failure of a pod.

    Failures from before the pod last became unready are left out.
    """
    health = spec.health
    slack = timedelta(seconds=health.failure_threshold * (health.period_seconds + health.timeout_seconds))
    unready = time_of(condition(pod, "Ready"), "lastTransitionTime")
    for event in events:
        involved, last = event.get("involvedObject", {}), time_of(event, "lastTimestamp")
        if involved.get("name") != pod["metadata"]["name"] or (last and unready and unready - last > slack):
            continue
        message = event.get("message", "")
        named = _CONTAINER_FIELD.search(involved.get("fieldPath", ""))
        if match := _FAILED_PROBE.search(message):
            yield match[1], named[1] if named else None, message
