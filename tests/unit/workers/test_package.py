"""What is installed is what the README says."""

import json
import tomllib
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement

WORKERS = Path(__file__).parents[3] / "workers"
PYTHON = tomllib.loads((WORKERS / "pyproject.toml").read_text())["project"]
NODE = json.loads((WORKERS / "node" / "package.json").read_text())
README = (WORKERS / "README.md").read_text()


def test_both_packages_have_one_version_and_the_commands_of_the_readme() -> None:
    assert PYTHON["version"] == NODE["version"]
    for command in (*PYTHON["scripts"], *NODE["bin"]):
        assert f"`{command} " in README
    for target in PYTHON["scripts"].values():
        assert find_spec(target.partition(":")[0]) is not None
    for file in (NODE["main"], *NODE["bin"].values()):
        assert (WORKERS / "node" / file).is_file()


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn"])
def test_the_servers_that_are_tested_are_those_that_are_allowed(server: str) -> None:
    (allowed,) = map(Requirement, PYTHON["optional-dependencies"][server])
    assert allowed.specifier.contains(version(server))
