"""What the metrics API costs, and how fast it answers, with a thousand objects and more."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from dev import tools, up
from dev.control_plane import HOST, ControlPlane
from hca_operator.metrics_server.pods.pod_polling import POD_POLL_SECONDS
from tests.bench.fake_pods import FakePods, fake_pods
from tests.bench.fleet import Meter
from tests.bench.record import record
from tests.bench.synthetic_metrics import API, SyntheticMetrics
from tests.bench.synthetic_metrics import namespace as namespace_of
from tests.bench.vegeta import Caller, ask
from tests.controlplane.api_server import ApiServer, eventually
from tests.controlplane.conftest import administrator, control_plane, namespace, server
from tests.controlplane.kubeconfig import client_context
from tests.controlplane.test_load_to_replicas import WholeProcess
from tests.controlplane.test_metrics_api import (
    AVAILABLE_WITHIN_SECONDS,
    GROUP_VERSION,
    NAME,
    Install,
    available,
    install,
)

__all__ = ["administrator", "control_plane", "install", "namespace", "server"]  # fixtures
COMMAND = ".venv/bin/pytest tests/bench/test_external_metrics.py"
COLUMNS = ("figure", "measured", "goal")
FEW = 100
OBJECTS = 1000
MANY = 5000
RATE = 1000
AUTOSCALERS_RATE = 70
"""Requests a second of the autoscalers of so many objects, each with one metric and looked at each 15 s."""
WARM_UP = 20
"""Seconds in which they ask for each object at least once."""
SECONDS = 60
SAMPLES = 6
"""As many as a pod can have reported within the span over which numbers are taken."""
AUTOSCALER = "system:serviceaccount:kube-system:horizontal-pod-autoscaler"
GROUPS = ("system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated")
METRIC = "hca-requests-per-second"


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    up.bring_up_control_plane(tools.VEGETA)


@pytest.fixture
def autoscalers(control_plane: ControlPlane) -> Caller:
    """Their controller, as the API server knows it."""
    kubeconfig = control_plane.kubeconfig_for(AUTOSCALER, *GROUPS[:2])
    client_context(kubeconfig)  # which leaves the pair in a file
    pair = kubeconfig.with_suffix(".pem")
    return Caller(pair, pair, trusts=control_plane.folder / "pki" / "ca.crt")


@pytest.fixture
def front_proxy(control_plane: ControlPlane) -> Caller:
    """The API server, on behalf of that controller."""
    certificate = control_plane.folder / "pki" / "front-proxy-client.crt"
    headers = (f"X-Remote-User: {AUTOSCALER}", *(f"X-Remote-Group: {group}" for group in GROUPS))
    return Caller(certificate, certificate.with_suffix(".key"), headers=headers)


@pytest.fixture
def reported(
    control_plane: ControlPlane, server: ApiServer, install: Install, tmp_path: Path
) -> Iterator[SyntheticMetrics]:
    """The metrics API with the samples of many pods, asked by the API server."""
    account = control_plane.kubeconfig_for(install.account.name)
    with SyntheticMetrics(
        account, tmp_path / "metrics", namespace=install.namespace, name=NAME, objects=OBJECTS
    ) as process:
        eventually(lambda: available(server), within=AVAILABLE_WITHIN_SECONDS)
        yield process


@pytest.fixture
def whole(control_plane: ControlPlane, server: ApiServer, install: Install, tmp_path: Path) -> Iterator[WholeProcess]:
    """The metrics API as the chart starts it, asked by the API server."""
    with WholeProcess(install, control_plane.kubeconfig_for(install.account.name), tmp_path / "whole") as process:
        eventually(lambda: available(server), within=AVAILABLE_WITHIN_SECONDS)
        yield process


@pytest.fixture
def pods(server: ApiServer) -> Iterator[FakePods]:
    """No pods yet."""
    with fake_pods(server) as made:
        yield made


def path(namespace: str, api: str) -> str:
    return f"/apis/{GROUP_VERSION}/namespaces/{namespace}/{METRIC}?labelSelector=hca-operator.io%2Fapi%3D{api}"


def warm_up(urls: Sequence[str], caller: Caller) -> None:
    """Ask for each until all are known, and with them what the caller may."""

    def known() -> bool:
        answers = ask(urls, caller, rate=AUTOSCALERS_RATE, seconds=WARM_UP)
        assert answers.good == 1, answers.others[:3]
        return True

    eventually(known, within=300)


@pytest.mark.timeout(1200)
def test_answers(
    control_plane: ControlPlane, reported: SyntheticMetrics, autoscalers: Caller, front_proxy: Caller
) -> None:
    meter, paths = Meter(reported), [path(namespace_of(number), API) for number in range(OBJECTS)]

    def reviews() -> float:
        return meter.total("hca_api_requests_total", kind="SubjectAccessReview")

    straight = [f"https://{HOST}:{reported.port}{each}" for each in paths]
    warm_up(straight, front_proxy)
    spent = meter.cpu_seconds()
    at_once = ask(straight, front_proxy, rate=RATE, seconds=SECONDS)
    spent = meter.cpu_seconds() - spent
    around = [f"{control_plane.url}{each}" for each in paths]
    warm_up(around, autoscalers)
    asked = reviews()
    as_autoscalers = ask(around, autoscalers, rate=AUTOSCALERS_RATE, seconds=SECONDS)
    asked = reviews() - asked
    record(
        "Answers of the metrics API",
        COMMAND,
        COLUMNS,
        [
            (f"asked by the front proxy, {RATE:,} requests/s, p50 / p99", str(at_once), "p99 <= 10 ms"),
            (
                f"asked through the API server, {AUTOSCALERS_RATE} requests/s, p50 / p99",
                str(as_autoscalers),
                "p99 <= 75 ms",
            ),
            ("CPU of an answer", f"{spent / RATE / SECONDS * 1000:.2f} ms", ""),
            ("questions to the API server about the rights of autoscalers, each second", f"{asked / SECONDS:.1f}", ""),
        ],
        conditions=f"""
{OBJECTS:,} objects, each in a namespace of its own; every two seconds one pod of each tells its load, without being
asked for it. Kept connections with TLS, rights that were asked for once before. etcd, API server, controllers, metrics
API and client share the machine.
""".strip(),
    )
    assert (at_once.good, as_autoscalers.good) == (1, 1), (at_once.others[:3], as_autoscalers.others[:3])


@pytest.mark.timeout(3600)
def test_pods_that_are_read(
    control_plane: ControlPlane, whole: WholeProcess, autoscalers: Caller, pods: FakePods
) -> None:
    meter = Meter(whole)

    def read() -> float:
        return meter.total("hca_scrapes_total", result="read")

    def hold(size: int) -> float:
        """Resident memory once so many pods were read again and again."""
        pods.grow(size)
        until = read() + SAMPLES * size
        eventually(lambda: read() >= until, within=1200, pause=1)
        return meter.resident_mebibytes()

    hold(FEW)
    spent = meter.cpu_seconds()
    time.sleep(SECONDS)  # the span itself is what is measured
    spent = meter.cpu_seconds() - spent
    thousand = hold(OBJECTS)
    paths = [path(pods.namespace(number), pods.name(number)) for number in range(OBJECTS)]
    around = [f"{control_plane.url}{each}" for each in paths]
    ask(around, autoscalers, rate=AUTOSCALERS_RATE, seconds=WARM_UP)  # what they may is asked for at the first time
    begun = read()
    answers = ask(around, autoscalers, rate=AUTOSCALERS_RATE, seconds=SECONDS)
    scrapes = (read() - begun) / SECONDS
    many = hold(MANY)
    record(
        "Pods read by the metrics API",
        COMMAND,
        COLUMNS,
        [
            (f"CPU with {FEW} pods", f"{spent / SECONDS * 1000:.0f}m", ""),
            (f"pods read each second, of {OBJECTS:,}", f"{scrapes:.0f}", f"{OBJECTS / POD_POLL_SECONDS:.0f}"),
            (
                f"meanwhile asked through the API server, {AUTOSCALERS_RATE} requests/s, p50 / p99",
                str(answers),
                "p99 <= 75 ms",
            ),
            (
                f"resident memory with {OBJECTS:,} objects / with {MANY:,}",
                f"{thousand:.0f} MiB / {many:.0f} MiB",
                "<= 150 MiB / 400 MiB",
            ),
        ],
        conditions="""
One pod for each object, with 50 lines of metrics, at one address of the loopback interface. etcd, API server,
controllers, metrics API, pods and client share the machine.
""".strip(),
    )
