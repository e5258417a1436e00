"""What the kubelet says of probes that fail, word for word, and what the user reads."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hca_operator.api.status import Problem, Reason
from hca_operator.core.names import Manifest
from hca_operator.core.timestamps import time_text
from hca_operator.status.diagnosis import diagnose, event_reasons
from tests.unit.operator.objects import deployment, spec

NOW = datetime(2026, 1, 2, 4, 0, tzinfo=UTC)
ROLLING = deployment(progressing="ReplicaSetUpdated")
POD = "shop-5d8f"
ADDRESS = "10.244.1.5:8000"
REFUSED = f"dial tcp {ADDRESS}: connect: connection refused"
GET = f'Get "http://{ADDRESS}/health": '
HTTP2 = GET + r'net/http: HTTP/1.x transport connection broken: malformed HTTP response "\x00\x00\x12\x04\x00\x00"'
TLS_ALERT = GET + r'net/http: HTTP/1.x transport connection broken: malformed HTTP response "\x15\x03\x01\x00\x02\x02"'
TIMED_OUT = GET + "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
CUT_OFF = GET + f"read tcp 10.244.1.1:40512->{ADDRESS}: read: connection reset by peer"


def ago(**time: float) -> str:
    return time_text(NOW - timedelta(**time))


def code(number: int) -> str:
    return f"HTTP probe failed with statuscode: {number}"


def failed(kind: str, message: str, *, container: str = "api", last: str | None = None, pod: str = POD) -> Manifest:
    """An event of the kubelet."""
    involved = {"kind": "Pod", "name": pod, "fieldPath": f"spec.containers{{{container}}}"}
    event = {"involvedObject": involved, "reason": "Unhealthy", "message": f"{kind} probe failed: {message}"}
    return event | {"firstTimestamp": ago(hours=2), "lastTimestamp": last or ago(seconds=5)}


def running(*, started: bool = True, since: str = ago(minutes=10), **more: Any) -> Manifest:
    """A pod whose container runs, unready for a minute."""
    container = {"name": "api", "state": {"running": {"startedAt": since}}, "ready": False, "started": started}
    ready = {"type": "Ready", "status": "False", "lastTransitionTime": ago(minutes=1)}
    status = {"conditions": [ready], "containerStatuses": [container | more]}
    return {"metadata": {"name": POD}, "status": status}


def killed(exit_code: int = 137, *, lasted: float = 62, reason: str = "Error") -> Manifest:
    """A pod whose container was ended a while after its start, and is not started anew yet."""
    ended = {"exitCode": exit_code, "reason": reason, "startedAt": ago(seconds=lasted), "finishedAt": ago()}
    back_off = {"waiting": {"reason": "CrashLoopBackOff"}}
    return running(started=False, state=back_off, lastState={"terminated": ended})


def reported(pod: Manifest, *events: Manifest, **health: Any) -> Problem | None:
    return diagnose(spec(health=health), ROLLING, [pod], events, NOW)


def test_fault_52_nothing_listens_on_the_port() -> None:
    """`python -m http.server 3000`: refused each second, killed when its time to start is over, and started anew."""
    expected = Problem(
        Reason.NOTHING_LISTENS,
        "nothing listens on port 8000 in the container: set spec.port to the port on which the API listens, and let it "
        "listen on all addresses (0.0.0.0), not on 127.0.0.1 alone",
    )
    refused = failed("Startup", REFUSED)
    starts = {"startupTimeout": "20s"}
    assert reported(running(started=False, since=ago(seconds=9)), refused, **starts) is None, "it has time to start"
    assert reported(running(started=False, since=ago(seconds=10)), refused, **starts) == expected
    again = killed(lasted=21)
    assert reported(again, refused, **starts) == expected
    again["status"]["containerStatuses"][0]["state"] = {"running": {"startedAt": ago(seconds=1)}}
    assert reported(again, refused, **starts) == expected, "the next start is no news"


@pytest.mark.parametrize(
    ("exit_code", "lasted", "reason"), [(1, 62, "Error"), (137, 3, "Error"), (137, 62, "OOMKilled")]
)
def test_a_container_that_ends_by_itself_before_it_listens_is_none_that_the_kubelet_ended(
    exit_code: int, lasted: float, reason: str
) -> None:
    problem = reported(killed(exit_code, lasted=lasted, reason=reason), failed("Startup", REFUSED))
    assert problem is not None
    assert problem.reason in {Reason.CRASH_LOOP, Reason.OUT_OF_MEMORY}


def test_a_container_that_was_killed_for_no_known_reason_is_a_crash() -> None:
    problem = reported(killed())
    assert problem is not None
    assert problem.reason == Reason.CRASH_LOOP


@pytest.mark.parametrize(
    ("message", "reason", "words"),
    [
        (code(404), Reason.READINESS_PATH_NOT_FOUND, "answers 404: set spec.health.readinessPath"),
        (code(400), Reason.READINESS_FAILING, "answers 400 to the kubelet, whose Host header is"),
        (code(503), Reason.READINESS_FAILING, "answers 503 instead of 200: the API says that it cannot serve"),
        (TIMED_OUT, Reason.READINESS_FAILING, "is not answered within 3 seconds: all workers are busy or blocked"),
        (f"Get \"http://{ADDRESS}/health\": dial tcp {ADDRESS}: i/o timeout", Reason.READINESS_FAILING, "3 seconds"),
        (HTTP2, Reason.READINESS_FAILING, "is not answered in HTTP/1.1"),
        (TLS_ALERT, Reason.READINESS_FAILING, "is not answered in HTTP/1.1: let the API speak HTTP/1.1 without TLS"),
        (CUT_OFF, Reason.READINESS_FAILING, "closes the connection without an answer"),
        (f"{GET}EOF", Reason.READINESS_FAILING, "closes the connection without an answer"),
        (GET + REFUSED, Reason.NOTHING_LISTENS, "nothing listens on port 8000"),
    ],
)  # fmt: skip
def test_fault_53_each_failure_of_the_readiness_probe_has_a_sentence(message: str, reason: Reason, words: str) -> None:
    problem = reported(running(), failed("Readiness", message))
    assert problem is not None
    assert problem.reason == reason
    assert words in problem.message
    assert "10.244" not in problem.message, "an address differs by pod"
    if reason != Reason.NOTHING_LISTENS:
        assert problem.message.startswith("GET /health on port 8000 ")


def test_similar_failures_are_combined_by_the_kubelet() -> None:
    combined = failed("Readiness", CUT_OFF)
    combined["message"] = f"(combined from similar events): {combined['message']}"
    problem = reported(running(), combined)
    assert problem is not None
    assert problem.reason == Reason.READINESS_FAILING


def test_the_liveness_path_is_distinguished_from_the_readiness_path() -> None:
    expected = Problem(
        Reason.LIVENESS_FAILING,
        "GET /live on port 8000 answers 404: set spec.health.livenessPath to a path that answers 200 while the API can "
        "serve",
    )
    assert reported(killed(), failed("Startup", code(404)), livenessPath="/live") == expected
    assert reported(running(), failed("Liveness", code(404)), livenessPath="/live") == expected
    assert reported(running(), failed("Liveness", code(404))) is None, "an event from before the path was taken out"
    held = reported(killed(), failed("Liveness", f"dial tcp {ADDRESS}: i/o timeout"))
    assert held is not None
    assert held.reason == Reason.LIVENESS_FAILING
    assert held.message.startswith("a connection to port 8000 is not answered within 3 seconds")


def test_what_failed_before_the_pod_became_unready_is_of_the_past() -> None:
    past = failed("Readiness", code(404), last=ago(minutes=30))
    assert reported(running(), past) is None
    problem = reported(running(), past, failed("Readiness", TIMED_OUT, last=ago(seconds=80)))
    assert problem is not None
    assert "is not answered within" in problem.message
    assert reported(running(), failed("Startup", REFUSED)) is None, "it has started since"


def sidecar(*, ready: bool) -> Manifest:
    return {"name": "istio-proxy", "state": {"running": {"startedAt": ago(minutes=1)}}, "ready": ready}


def test_the_probe_of_a_sidecar_is_not_taken_for_the_one_of_the_api() -> None:
    event = failed("Readiness", code(503), container="istio-proxy")
    pod = running()
    pod["status"]["containerStatuses"].append(sidecar(ready=False))
    assert reported(pod, event) is None, "the API starts, too"
    pod["status"]["containerStatuses"][0]["ready"] = True
    problem = reported(pod, event)
    assert problem is not None
    assert problem.reason == Reason.READINESS_FAILING
    assert problem.message.startswith("sidecar container istio-proxy fails its probe")
    assert reported(pod, failed("Readiness", code(503))) is None, "the API's own passes again"


def test_events_are_asked_for_where_the_kubelet_has_ended_a_container() -> None:
    assert event_reasons(spec(), [killed()]) == ["Unhealthy"]
    assert not event_reasons(spec(), [killed(1)])


@pytest.mark.timeout(20)
def test_fault_70_an_event_that_others_have_written_takes_no_time() -> None:
    event = failed("Readiness", code(500), last="0001-01-01T00:00:00Z")
    event["involvedObject"]["fieldPath"] = "{" * 300_000
    early = running(since="0001-01-01T00:00:00Z")
    early["status"]["conditions"][0]["lastTransitionTime"] = "0001-01-01T00:00:00Z"
    problem = reported(early, event)
    assert problem is not None
    assert problem.reason == Reason.READINESS_FAILING


def test_fault_72_a_readiness_gate_that_stays_unset_is_named() -> None:
    gate = "target-health.elbv2.k8s.aws/shop"
    pod = running(ready=True)
    said = f'the status of pod readiness gate "{gate}" is not "True", but False'
    pod["status"]["conditions"] = [
        {"type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady", "message": said},
        {"type": "ContainersReady", "status": "True", "lastTransitionTime": ago(seconds=30)},
    ]
    assert reported(pod) is None
    pod["status"]["conditions"][1]["lastTransitionTime"] = ago(minutes=2)
    problem = reported(pod)
    assert problem is not None
    assert (problem.reason, gate in problem.message) == (Reason.READINESS_FAILING, True)
