"""What keeps dependencies fresh finds all of them; what runs before a commit is pinned."""

import json
import re
import tomllib
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dev import go, tools, versions
from dev.python import LOCKS

ROOT = Path(__file__).parents[3]
RENOVATE = json.loads((ROOT / ".github" / "renovate.json").read_text())
VERSIONS = (ROOT / "dev" / "versions.py").read_text()
OF_KUBEADM = {"ETCD_TAG", "COREDNS_TAG", "PAUSE_TAG"}  # constants of the Kubernetes release


def _found(manager: dict[str, Any]) -> list[dict[str, str]]:
    """Return what one of Renovate's managers finds in dev/versions.py."""
    assert [pattern for pattern in manager["managerFilePatterns"] if re.search(pattern.strip("/"), "dev/versions.py")]
    pattern = "|".join(manager["matchStrings"]).replace("(?<", "(?P<")
    return [found.groupdict() for found in re.finditer(pattern, VERSIONS)]


def test_renovate_finds_every_version_of_the_local_cluster() -> None:
    programs, images = map(_found, RENOVATE["customManagers"])
    names = {name for name, value in vars(versions).items() if isinstance(value, str) and name.isupper()}
    assert {program["depName"] for program in programs} == names - OF_KUBEADM
    assert [f"{image['depName']}:{image['currentValue']}@{image['currentDigest']}" for image in images] == list(
        versions.NODE_IMAGES.values()
    )


def test_renovate_looks_for_the_modules_that_are_built() -> None:
    built = {tool.module: tool.version for tool in vars(tools).values() if isinstance(tool, go.Tool)}
    programs = _found(RENOVATE["customManagers"][0])
    found = {p["packageName"]: f"v{p['currentValue']}" for p in programs if p["datasource"] == "go"}
    assert found == built


def test_renovate_reads_every_lock() -> None:
    assert {"pip_requirements", "pep621"} <= set(RENOVATE["enabledManagers"])
    assert ":ignoreModulesAndTests" in RENOVATE["ignorePresets"], "locks below tests/ would be left out"
    for lock in LOCKS:
        assert Path(lock).name == "requirements.txt", "the name that Renovate looks for"


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_keeps_what_its_project_asks_for(lock: str) -> None:
    pinned = _pins(ROOT / lock)
    for source in LOCKS[lock]:
        if source.endswith("pyproject.toml"):
            for text in tomllib.loads((ROOT / source).read_text())["project"]["dependencies"]:
                wanted = Requirement(text)
                assert wanted.specifier.contains(pinned[canonicalize_name(wanted.name)]), "run make lock"


def test_hooks_run_programs_of_the_lock() -> None:
    locked = _pins(ROOT / "tests" / "requirements.txt")
    scripts = {
        entry.name: canonicalize_name(distribution.name)
        for distribution in distributions()
        for entry in distribution.entry_points
        if entry.group == "console_scripts"
    }
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert {repository["repo"] for repository in config["repos"]} == {"local"}, "others bring versions of their own"
    for hook in config["repos"][0]["hooks"]:
        assert hook["language"] == "system", "pre-commit would install it"
        (program,) = re.findall(r"\.venv/bin/(\S+)", hook["entry"])
        assert scripts.get(program, program) in locked, hook["id"]


def _pins(lock: Path) -> dict[str, str]:
    """Return the version of each package, by its normalized name."""
    found = re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==([^\s;]+)", lock.read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}
