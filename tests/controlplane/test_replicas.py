"""Who writes the number of pods: it never dips when it changes hands, and the autoscaler is never fought."""

from collections.abc import Sequence

import pytest

from dev.control_plane import ControlPlane
from tests.controlplane.api_server import ApiServer, Manifest, eventually
from tests.controlplane.objects import DISABLED, KIND, api, conditions, status

pytestmark = pytest.mark.usefixtures("operator")
VARIABLE: Manifest = {"name": "LEVEL", "value": "info"}


def count(server: ApiServer, namespace: str) -> int:
    found = server.get("Deployment", namespace, "shop")
    assert found is not None
    return int(found["spec"]["replicas"])


def counts(seen: Sequence[Manifest]) -> list[int]:
    return [deployment["spec"]["replicas"] for deployment in seen]


def owners(server: ApiServer, namespace: str) -> set[str]:
    """The field managers that own the count."""
    found = server.get("Deployment", namespace, "shop")
    assert found is not None
    entries = found["metadata"]["managedFields"]
    return {entry["manager"] for entry in entries if "f:replicas" in entry["fieldsV1"].get("f:spec", {})}


def handed_over(server: ApiServer, namespace: str) -> bool:
    """Whether the latest generation is carried out, and the autoscaler there."""
    autoscaler = server.get("HorizontalPodAutoscaler", namespace, "shop")
    return bool(conditions(server, namespace)) and autoscaler is not None


def test_a_new_deployment_has_the_autoscalers_minimum_from_the_start(server: ApiServer, namespace: str) -> None:
    since = server.version("Deployment", namespace)
    server.create(api(namespace, autoscaling={"minReplicas": 3}))
    eventually(lambda: conditions(server, namespace))
    assert set(counts(server.changes_since(since, "Deployment", namespace))) == {3}


def test_a_count_that_the_autoscaler_has_not_moved_yet_survives_every_change_of_the_object(
    server: ApiServer, namespace: str
) -> None:
    since = server.version("Deployment", namespace)
    server.create(api(namespace, autoscaling={"minReplicas": 3}))
    eventually(lambda: conditions(server, namespace))
    for fields in ({"port": 9000}, {"image": "shop:2"}, {"autoscaling": {"minReplicas": 2}}, {"env": [VARIABLE]}):
        server.patch(KIND, namespace, "shop", {"spec": fields})
        eventually(lambda: conditions(server, namespace))
    assert set(counts(server.changes_since(since, "Deployment", namespace))) == {3}


def test_the_count_never_moves_while_it_changes_hands_and_back(server: ApiServer, namespace: str) -> None:
    server.create(api(namespace, replicas=4, **DISABLED))
    eventually(lambda: count(server, namespace) == 4)
    since = server.version("Deployment", namespace)
    for _ in range(3):
        server.patch(KIND, namespace, "shop", {"spec": {"autoscaling": {"mode": "Horizontal"}}})
        eventually(lambda: handed_over(server, namespace))
        server.patch(KIND, namespace, "shop", {"spec": DISABLED})
        eventually(lambda: server.get("HorizontalPodAutoscaler", namespace, "shop") is None)
        eventually(lambda: conditions(server, namespace))
    assert set(counts(server.changes_since(since, "Deployment", namespace))) == {4}


def test_what_the_autoscaler_decided_survives_every_change_of_the_object(server: ApiServer, namespace: str) -> None:
    server.create(api(namespace))
    eventually(lambda: handed_over(server, namespace))
    server.patch("Deployment", namespace, "shop/scale", {"spec": {"replicas": 7}})
    since = server.version("Deployment", namespace)
    for number, fields in enumerate(
        ({"port": 9000}, {"image": "shop:2"}, {"autoscaling": {"maxReplicas": 20}}), start=2
    ):
        server.patch(KIND, namespace, "shop", {"spec": fields})
        eventually(lambda n=number: status(server, namespace)["observedGeneration"] == n)  # type: ignore[misc]
    assert set(counts(server.changes_since(since, "Deployment", namespace))) == {7}
    assert not owners(server, namespace) & {"hca-operator"}


def test_fault_26_scaling_the_deployment_by_hand_is_not_fought_while_the_autoscaler_decides(
    control_plane: ControlPlane, server: ApiServer, namespace: str
) -> None:
    server.create(api(namespace))
    eventually(lambda: handed_over(server, namespace))
    control_plane.kubectl("scale", "deployment/shop", "-n", namespace, "--replicas=5")
    since = server.version("Deployment", namespace)
    # What the operator writes after the change shows that it has seen it.
    eventually(lambda: status(server, namespace)["desiredReplicas"] == 5)
    server.patch(KIND, namespace, "shop", {"spec": {"port": 9000}})
    eventually(lambda: status(server, namespace)["observedGeneration"] == 2)
    assert set(counts(server.changes_since(since, "Deployment", namespace))) == {5}


def test_scaling_the_deployment_by_hand_is_undone_while_the_object_decides(
    control_plane: ControlPlane, server: ApiServer, namespace: str
) -> None:
    server.create(api(namespace, **DISABLED))
    eventually(lambda: count(server, namespace) == 2)
    control_plane.kubectl("scale", "deployment/shop", "-n", namespace, "--replicas=5")
    eventually(lambda: count(server, namespace) == 2)


def test_scaling_the_object_reaches_the_deployment(
    control_plane: ControlPlane, server: ApiServer, namespace: str
) -> None:
    server.create(api(namespace, **DISABLED))
    eventually(lambda: count(server, namespace) == 2)
    for wanted in (5, 0, 1):
        control_plane.kubectl("scale", "hcapi/shop", "-n", namespace, f"--replicas={wanted}")
        eventually(lambda n=wanted: count(server, namespace) == n)  # type: ignore[misc]


def test_an_object_that_was_scaled_to_zero_starts_with_the_minimum_when_the_autoscaler_takes_over(
    server: ApiServer, namespace: str
) -> None:
    server.create(api(namespace, replicas=0, **DISABLED))
    eventually(lambda: count(server, namespace) == 0)
    autoscaled = {"spec": {"autoscaling": {"mode": "Horizontal", "minReplicas": 3}}}
    since = server.version("Deployment", namespace)
    server.patch(KIND, namespace, "shop", autoscaled)
    eventually(lambda: count(server, namespace) == 3)
    eventually(lambda: handed_over(server, namespace))
    assert set(counts(server.changes_since(since, "Deployment", namespace))) <= {0, 3}


def test_the_count_of_the_object_comes_with_the_hand_back(server: ApiServer, namespace: str) -> None:
    server.create(api(namespace))
    eventually(lambda: handed_over(server, namespace))
    server.patch("Deployment", namespace, "shop/scale", {"spec": {"replicas": 6}})
    eventually(lambda: status(server, namespace)["desiredReplicas"] == 6)
    since = server.version("Deployment", namespace)
    server.patch(KIND, namespace, "shop", {"spec": {"replicas": 6, **DISABLED}})
    eventually(lambda: "hca-operator" in owners(server, namespace))
    assert set(counts(server.changes_since(since, "Deployment", namespace))) == {6}


def test_a_schedule_under_way_raises_the_count_without_any_metrics_and_its_end_leaves_it_to_the_autoscaler(
    server: ApiServer, namespace: str
) -> None:
    always = {"name": "always", "cron": "* * * * *", "duration": "2m", "minReplicas": 5}
    server.create(api(namespace, autoscaling={"schedules": [always]}))
    eventually(lambda: count(server, namespace) == 5)
    server.patch(KIND, namespace, "shop", {"spec": {"autoscaling": {"schedules": []}}})

    def least() -> int:
        autoscaler = server.get("HorizontalPodAutoscaler", namespace, "shop")
        assert autoscaler is not None
        return int(autoscaler["spec"]["minReplicas"])

    eventually(lambda: least() == 2)
    assert count(server, namespace) == 5
    assert not owners(server, namespace) & {"hca-operator"}
