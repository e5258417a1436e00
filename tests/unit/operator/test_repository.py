"""What the repository says about the operator in several places says the same."""

import ast
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from hca_operator import __version__
from hca_operator.cli import main

REPOSITORY = Path(__file__).parents[3]


@pytest.mark.parametrize("path", ["crds/hca-operator.io_highconcurrencyapis.yaml", "charts/files/crd.yaml"])
def test_the_crd_is_the_one_of_the_models(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crd"]) == 0
    generated = yaml.safe_load(capsys.readouterr().out)
    assert yaml.safe_load((REPOSITORY / path).read_text()) == generated, "run make crds"


def test_the_values_that_the_chart_falls_back_on_are_its_values() -> None:
    fallback = REPOSITORY / "charts" / "files" / "values.yaml"
    assert fallback.read_text() == (REPOSITORY / "charts" / "values.yaml").read_text(), "run make crds"


def test_the_reference_is_the_one_of_the_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reference"]) == 0
    assert (REPOSITORY / "docs" / "reference.md").read_text() == capsys.readouterr().out, "run make crds"


def test_imports_point_one_way() -> None:
    # A process of its own: the linter switches off every logger that is there already.
    reported = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": "operator:sample-app:workers"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert reported.returncode == 0, reported.stdout + reported.stderr


def test_a_constant_has_a_name_that_no_other_module_gives_to_one_of_its_own() -> None:
    modules: dict[str, list[str]] = defaultdict(list)
    for file in sorted((REPOSITORY / "operator" / "hca_operator").rglob("*.py")):
        for name in _constants(file):
            modules[name].append(file.name)
    assert {name: files for name, files in modules.items() if len(files) > 1} == {}


def _constants(file: Path) -> Iterator[str]:
    for statement in ast.parse(file.read_text()).body:
        match statement:
            case ast.Assign(targets=targets):
                assigned: list[ast.expr] = targets
            case ast.AnnAssign(target=target):
                assigned = [target]
            case _:
                continue
        names = (node.id for target in assigned for node in ast.walk(target) if isinstance(node, ast.Name))
        yield from (name for name in names if re.fullmatch("_?[A-Z][A-Z0-9_]+", name))


def test_the_folder_of_the_operator_is_no_package() -> None:
    assert not (REPOSITORY / "operator" / "__init__.py").exists(), "it would hide the standard library's operator"


def test_the_version_is_the_same_everywhere() -> None:
    chart = yaml.safe_load((REPOSITORY / "charts" / "Chart.yaml").read_text())
    assert f'version = "{__version__}"' in (REPOSITORY / "pyproject.toml").read_text()
    assert chart["appVersion"] == __version__
