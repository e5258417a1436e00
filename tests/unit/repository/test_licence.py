"""The licence that the metadata names is in the repository."""

import json
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
IDENTIFIER = "Apache-2.0"


def test_the_licence_is_the_whole_text() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert text.split()[:4] == ["Apache", "License", "Version", "2.0,"]
    assert "END OF TERMS AND CONDITIONS" in text
    assert [number for number in range(1, 10) if f"\n   {number}. " not in text] == []


@pytest.mark.parametrize("path", ["pyproject.toml", "workers/pyproject.toml", "sample-app/pyproject.toml"])
def test_every_python_project_names_it(path: str) -> None:
    assert tomllib.loads((ROOT / path).read_text())["project"]["license"] == IDENTIFIER


def test_the_node_package_names_it() -> None:
    assert json.loads((ROOT / "workers" / "node" / "package.json").read_text())["license"] == IDENTIFIER
