import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from dev.cache import REPOSITORY
from dev.control_plane import ControlPlane
from dev.steps import ClusterError

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web}]}
"""


def test_controllers_make_pods_of_a_deployment(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl("apply", "-n", namespace, "-f", "-", stdin=DEPLOYMENT)
    wait = "--for=jsonpath={.status.unavailableReplicas}=2"
    control_plane.kubectl("wait", "-n", namespace, "deployment/web", wait, "--timeout=30s")


def test_a_minted_user_may_do_what_rbac_grants_and_no_more(control_plane: ControlPlane, namespace: str) -> None:
    kubeconfig = control_plane.kubeconfig_for("ann", "readers")
    control_plane.kubectl("create", "rolebinding", "readers", "-n", namespace, "--clusterrole=view", "--group=readers")
    asked = ("--kubeconfig", str(kubeconfig), "-n", namespace)
    control_plane.kubectl(*asked, "get", "pods")
    with pytest.raises(ClusterError, match="forbidden"):
        control_plane.kubectl(*asked, "create", "configmap", "mine")


def test_objects_survive_a_restart_of_the_api_server_on_the_same_port(
    control_plane: ControlPlane, namespace: str
) -> None:
    control_plane.kubectl("create", "configmap", "kept", "-n", namespace)
    control_plane.stop_api_server()
    try:
        with pytest.raises(ClusterError, match="refused"):
            control_plane.kubectl("get", "configmap", "kept", "-n", namespace)
    finally:
        control_plane.start_api_server()
    control_plane.kubectl("get", "configmap", "kept", "-n", namespace)


def test_a_paused_api_server_answers_no_request_until_it_goes_on(control_plane: ControlPlane) -> None:
    with control_plane.paused_api_server(), pytest.raises(ClusterError):
        control_plane.kubectl("get", "--raw", "/readyz", "--request-timeout=1s")
    assert control_plane.kubectl("get", "--raw", "/readyz") == "ok"


def test_the_audit_log_names_each_write_and_no_content(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl("create", "configmap", "audited", "-n", namespace, "--from-literal=key=hidden-value")
    text = control_plane.audit_log.read_text()
    entries = [json.loads(line) for line in text.splitlines()]
    created = [entry["objectRef"] for entry in entries if entry["verb"] == "create" and "objectRef" in entry]
    assert {"resource": "configmaps", "namespace": namespace, "name": "audited", "apiVersion": "v1"} in created
    assert "hidden-value" not in text


def test_no_server_outlives_a_test_run_that_is_killed(tmp_path: Path) -> None:
    script = """
        import pathlib, sys, time
        from dev.control_plane import ControlPlane

        with ControlPlane(pathlib.Path(sys.argv[1])) as started:
            print(started._watchdog.pid, flush=True)
            time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY) as run:
        assert run.stdout
        group = int(run.stdout.readline())
        os.killpg(group, 0)
        run.kill()
    deadline = time.monotonic() + 20
    while is_alive(group) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(group)


def is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
