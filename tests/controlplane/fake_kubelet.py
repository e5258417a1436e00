"""What a kubelet and a scheduler would say of pods; nothing runs in them."""

from tests.controlplane.api_server import ApiServer, Manifest, eventually


def report_ready(server: ApiServer, namespace: str, selector: str) -> None:
    """Have every pod Ready that a selector finds."""
    for pod in server.find("Pod", namespace, labelSelector=selector):
        if "conditions" not in pod["status"]:
            report(server, pod, {"state": {"running": {}}, "ready": True}, ready="True")


def report_unschedulable(server: ApiServer, pod: Manifest, message: str) -> None:
    """Have no node for a pod."""
    scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    name = f"{pod['metadata']['name']}/status"
    server.patch("Pod", pod["metadata"]["namespace"], name, {"status": {"conditions": [scheduled]}})


def report(server: ApiServer, pod: Manifest, container: Manifest, *, ready: str = "False") -> None:
    """Have the container of a pod in a state."""
    image = pod["spec"]["containers"][0]["image"]
    status = {"name": "api", "image": image, "imageID": "", "ready": False, "restartCount": 0, **container}
    body = {
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": ready}],
            "containerStatuses": [status],
        }
    }
    server.answer(
        "PATCH",
        "Pod",
        pod["metadata"]["namespace"],
        f"{pod['metadata']['name']}/status",
        body=body,
        as_="merge-patch+json",
    )


def roll_out(server: ApiServer, namespace: str, name: str) -> Manifest:
    """Report pods Ready until the object says that it is rolled out; the object."""

    def ready() -> Manifest | None:
        report_ready(server, namespace, f"hca-operator.io/api={name}")
        api = server.get("HighConcurrencyApi", namespace, name)
        assert api is not None
        conditions = {entry["type"]: entry for entry in api["status"]["conditions"]}
        assert api["status"]["observedGeneration"] == api["metadata"]["generation"]
        return api if conditions["Ready"]["status"] == "True" else None

    found = eventually(ready)
    assert found is not None
    return found
