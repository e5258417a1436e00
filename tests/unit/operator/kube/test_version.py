"""Which versions of Kubernetes are refused, and how the process reports it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from hca_operator.controller.process import kubernetes_version
from hca_operator.core.errors import CannotStart, Transient
from hca_operator.core.names import Manifest
from hca_operator.kube.client import KubeClient
from hca_operator.kube.version import OLDEST_KUBERNETES, refuse_older
from tests.unit.operator import virtual_time
from tests.unit.operator.loopback_server import api_server

REPOSITORY = Path(__file__).parents[4]
OLDEST = "{}.{}".format(*OLDEST_KUBERNETES)


@pytest.mark.parametrize(("major", "minor"), [("1", "32"), ("1", "32+"), ("1", "9"), ("0", "40")])
def test_an_older_kubernetes_is_refused_with_what_to_do(major: str, minor: str) -> None:
    with pytest.raises(CannotStart, match=rf"too old for this operator.*upgrade the cluster to {OLDEST} or newer$"):
        refuse_older({"major": major, "minor": minor})


@pytest.mark.parametrize(
    "version",
    [
        {"major": "1", "minor": "33"},
        {"major": "1", "minor": "33+"},
        {"major": "1", "minor": "100"},
        {"major": "2", "minor": "0"},
        {"major": "", "minor": "", "gitVersion": "v0.0.0-master+$Format:%H$"},
        {},
    ],
    ids=str,
)
def test_the_oldest_and_every_newer_one_and_an_unknown_one_are_let_through(version: dict[str, str]) -> None:
    refuse_older(version)


def test_chart_and_readme_name_the_oldest_version() -> None:
    chart = yaml.safe_load((REPOSITORY / "charts" / "Chart.yaml").read_text())
    assert chart["kubeVersion"] == f">={OLDEST}.0-0"
    assert f"Kubernetes {OLDEST} or newer" in (REPOSITORY / "README.md").read_text()


class SlowServer(KubeClient):
    """An API server that cannot be reached for a while."""

    def __init__(self, *, failures: int) -> None:
        self.failures = failures

    async def version(self) -> Manifest:
        self.failures -= 1
        if self.failures >= 0:
            raise Transient("GET /version: connection refused")
        return {"major": "1", "minor": "36"}


def test_an_api_server_that_does_not_answer_yet_is_waited_for() -> None:
    assert virtual_time.run(kubernetes_version(SlowServer(failures=100))) == {"major": "1", "minor": "36"}


def run(kubeconfig: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PYTHONPATH": str(REPOSITORY / "operator"),
        "PATH": os.environ["PATH"],
        "KUBECONFIG": str(kubeconfig),
    }
    return subprocess.run(
        [sys.executable, "-m", "hca_operator", "run", "--port=0", *options],
        env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that it wrote, on standard output as all its log."""
    assert (done.returncode, done.stderr) == (1, "")
    (line,) = done.stdout.splitlines()
    entry = json.loads(line)
    assert entry["level"] == "ERROR"
    return str(entry["message"])


def test_on_an_older_kubernetes_the_process_ends_with_one_sentence_before_it_does_anything(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    with api_server(lambda _path: {"major": "1", "minor": "32", "gitVersion": "v1.32.1"}) as (address, asked):
        kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "current-context": "old",
                    "contexts": [{"name": "old", "context": {"cluster": "old", "user": "old"}}],
                    "clusters": [{"name": "old", "cluster": {"server": address}}],
                    "users": [{"name": "old", "user": {}}],
                }
            )
        )
        done = run(kubeconfig)
    assert said(done).startswith("the operator ends: Kubernetes 1.32 is too old for this operator")
    assert [path for path, _, _ in asked] == ["/version"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("limits: {maxReplica: 5}", "{}: apis.limits.maxReplica: unknown field, misspelt or in the wrong place"),
        (None, "cannot read the policy {}: [Errno 2] No such file or directory: '{}'"),
    ],
    ids=["unknown key", "no file"],
)
def test_with_a_wrong_policy_the_process_ends_with_one_sentence(
    content: str | None, message: str, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.yaml"
    if content is not None:
        policy.write_text(content)
    done = run(tmp_path / "no-kubeconfig", "--policy", str(policy))
    assert said(done) == "the operator ends: " + message.replace("{}", str(policy))
