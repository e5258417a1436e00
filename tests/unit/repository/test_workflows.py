"""The workflows run what is there, and nothing that can change under them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev import programs, versions

ROOT = Path(__file__).parents[3]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").iterdir())
PROMETHEUS = "tests/controlplane/prometheus_process.py"
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def _jobs(workflow: Path) -> dict[str, Any]:
    jobs: dict[str, Any] = yaml.safe_load(workflow.read_text())["jobs"]
    return jobs


def _steps(workflow: Path) -> Iterator[dict[str, Any]]:
    for job in _jobs(workflow).values():
        yield from job["steps"]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_digest_with_their_version_beside_it(workflow: Path) -> None:
    uses = re.findall(r"uses: (.*)", workflow.read_text())
    assert len(uses) == sum("uses" in step for step in _steps(workflow))
    assert [use for use in uses if not re.fullmatch(r"[\w.-]+(/[\w.-]+)+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use)] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_one_version_of_an_action_is_in_use(workflow: Path) -> None:
    pins = {tuple(step["uses"].split("@")) for step in _steps(workflow) if "uses" in step}
    assert len(dict(pins)) == len(pins)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_every_target_that_a_workflow_makes_exists(workflow: Path) -> None:
    made = {target for step in _steps(workflow) for target in re.findall(r"\bmake (\S+)", step.get("run", ""))}
    assert made
    assert made <= TARGETS


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_jobs_end_and_may_only_read(workflow: Path) -> None:
    assert yaml.safe_load(workflow.read_text())["permissions"] == {"contents": "read"}
    for name, job in _jobs(workflow).items():
        assert "timeout-minutes" in job, name
        assert "permissions" not in job, name


def test_the_cluster_is_tried_with_the_oldest_kubernetes_that_the_chart_allows() -> None:
    jobs = _jobs(ROOT / ".github" / "workflows" / "ci.yaml")
    asked = [row["kubernetes"] for row in jobs["cluster"]["strategy"]["matrix"]["include"]]
    assert asked == [min(versions.NODE_IMAGES), ""]


def test_unit_tests_run_on_every_python_from_the_one_that_the_metadata_asks_for() -> None:
    (oldest,) = re.findall(r'requires-python = ">=3\.(\d+)"', (ROOT / "pyproject.toml").read_text())
    jobs = _jobs(ROOT / ".github" / "workflows" / "ci.yaml")
    tried = [int(version.removeprefix("3.")) for version in jobs["unit"]["strategy"]["matrix"]["python"]]
    assert tried == list(range(int(oldest), int(oldest) + len(tried)))


def test_the_packages_of_the_integration_tests_are_installed() -> None:
    jobs = _jobs(ROOT / ".github" / "workflows" / "ci.yaml")
    (install,) = [step["run"] for step in jobs["integration"]["steps"] if "apt-get" in step.get("run", "")]
    assert set(programs.PACKAGES.values()) <= set(install.split())


def test_the_package_of_the_control_plane_tests_is_installed() -> None:
    jobs = _jobs(ROOT / ".github" / "workflows" / "ci.yaml")
    runs = [step.get("run", "") for step in jobs["controlplane"]["steps"]]
    (install,) = [run for run in runs if "apt-get" in run]
    wanted = re.findall(r'debian\.ensure, needed=\{"\S+": "(\S+)"\}', (ROOT / PROMETHEUS).read_text())
    assert wanted
    assert set(wanted) <= set(install.split())
    assert runs.index(install) < runs.index("make controlplane")


def test_issue_forms_ask_something() -> None:
    for form in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yaml"):
        questions = [part for part in yaml.safe_load(form.read_text())["body"] if part["type"] != "markdown"]
        assert questions, form.name
        assert len({question["id"] for question in questions}) == len(questions), form.name
