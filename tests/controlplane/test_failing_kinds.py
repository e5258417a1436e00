"""The API server fails for one kind at a time: the status reports it, and everything else is carried out."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from dev.control_plane import ControlPlane
from tests.controlplane.api_server import ApiServer, Manifest, eventually
from tests.controlplane.faults import failure
from tests.controlplane.meddler import Answer, Ask, Asked, Fault, Meddler
from tests.controlplane.objects import CHILDREN, KIND, ROUTES, api, children, conditions, status
from tests.controlplane.operator_process import OperatorProcess

RESOURCES = {
    "Deployment": "deployments",
    "Service": "services",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "HorizontalPodAutoscaler": "horizontalpodautoscalers",
    "Ingress": "ingresses",
    "NetworkPolicy": "networkpolicies",
}
NO_RIGHT = 'User "system:serviceaccount:operators:hca-operator" cannot patch this resource'
ANSWERS = {
    "500": failure(500, "Internal error occurred: failed calling webhook"),
    "429": failure(429, "TooManyRequests", **{"Retry-After": "1"}),
    "403": failure(403, NO_RIGHT),
    "garbage": Answer(200, b"<html>welcome</html>", {"Content-Type": "text/html"}),
}
OBJECTS = {f"{kind.lower()}-{what}": (kind, what) for kind in RESOURCES for what in ANSWERS}
"""By name: the object fails for that kind in that way."""
CHANGE: Manifest = {
    "podAnnotations": {"changed": "yes"},
    "service": {"port": 8081},
    "availability": {"maxUnavailable": 2},
    "autoscaling": {"maxReplicas": 7},
    "monitoring": {"port": 9100},
    "traffic": {"routes": [{"host": "changed.example.com"}]},
}
"""It reaches every child."""


class FailingKinds(Fault):
    """Each object of `OBJECTS` fails for its kind."""

    def __init__(self) -> None:
        self.refused: set[str] = set()

    async def answer(self, asked: Asked, ask: Ask) -> Answer:
        kind, what = OBJECTS.get(asked.name, ("", ""))
        if asked.resource != RESOURCES.get(kind):
            return await ask(asked)
        self.refused.add(asked.name)
        return ANSWERS[what]


@pytest.fixture
def meddler(control_plane: ControlPlane, server: ApiServer, tmp_path: Path) -> Iterator[Meddler]:  # noqa: ARG001
    with Meddler(control_plane) as started, OperatorProcess(started.kubeconfig(), tmp_path / "log"):
        yield started


def specs(server: ApiServer, namespace: str, name: str) -> Mapping[str, Manifest]:
    return {kind: child["spec"] for (kind, _), child in children(server, namespace, name).items()}


def test_fault_41_one_kind_fails_at_a_time_and_the_rest_goes_on(
    meddler: Meddler, server: ApiServer, namespace: str
) -> None:
    for name in OBJECTS:
        server.create(api(namespace, name, **ROUTES))
    before = {}
    for name in OBJECTS:
        eventually(lambda name=name: len(children(server, namespace, name)) == len(CHILDREN))  # type: ignore[misc]
        eventually(lambda name=name: conditions(server, namespace, name))  # type: ignore[misc]
        before[name] = specs(server, namespace, name)
    failing = FailingKinds()
    with meddler.meddling(failing):
        for name in OBJECTS:
            server.patch(KIND, namespace, name, {"spec": CHANGE})
        for name, (kind, what) in OBJECTS.items():

            def reported(name: str = name, kind: str = kind, what: str = what) -> None:
                found = conditions(server, namespace, name)["Ready"]
                assert found["status"] == "False"
                assert found["reason"] == ("Forbidden" if what == "403" else "RequestFailed")
                (error,) = status(server, namespace, name)["childErrors"]
                assert (error["kind"], error["name"]) == (kind, name)
                assert error["message"] in found["message"]
                after = specs(server, namespace, name)
                assert {of for of in RESOURCES if after[of] != before[name][of]} == RESOURCES.keys() - {kind}

            eventually(lambda reported=reported: reported() or True)  # type: ignore[misc]
        assert failing.refused == OBJECTS.keys()
    for name in OBJECTS:

        def recovered(name: str = name) -> bool:
            after = specs(server, namespace, name)
            return all(after[of] != before[name][of] for of in RESOURCES) and "childErrors" not in status(
                server, namespace, name
            )

        eventually(recovered)
