"""The map in CONTRIBUTING.md leads to what is there, and its pictures show the imports that there are."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
OPERATOR = ROOT / "operator" / "hca_operator"
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
RUNS, IMPORTS = re.findall(r"```mermaid\n(.*?)```", TEXT, re.DOTALL)
PLACE = re.compile(r"[\w.-]*[/.][\w./-]*(?:::\w+)?")
"""A path, perhaps with a name in its file."""


def _places(text: str) -> set[str]:
    """Return what inline code names of the tree."""
    code = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    words = {word for part in code for word in part.split() if PLACE.fullmatch(word) and not word.startswith(".venv/")}
    return {word for word in words if "/" in word or re.search(r"\.(py|md|yaml|toml|js|json)\b", word)}


def _path(place: str) -> Path:
    """Return where a path leads: from the root of the repository, or from the operator's package."""
    from_root = ROOT / place
    return from_root if from_root.exists() else OPERATOR / place


@pytest.mark.parametrize("place", sorted(_places(TEXT)))
def test_what_the_map_names_is_there(place: str) -> None:
    file, _, name = place.partition("::")
    assert _path(file).exists(), f"CONTRIBUTING.md names {file}: it was moved or renamed"
    if name:
        defined = rf"^\s*(?:(?:async )?def|class) {name}\b|^{name}\b.*="
        assert re.search(defined, _path(file).read_text(), re.MULTILINE), f"{file} has no {name} any more"


def test_the_tests_of_the_quick_loop_are_there() -> None:
    chosen = re.findall(r"pytest (\S+) -k (\w+)`", TEXT)
    assert chosen
    for file, name in chosen:
        assert re.search(rf"def test_\w*{name}", (ROOT / file).read_text()), f"{file} has no test of {name} any more"


def test_each_change_names_files_and_what_shows_it() -> None:
    (section,) = re.findall(r"(?s)^## Where do I change \.\.\.\n(.*?)^## ", TEXT, re.MULTILINE)
    rows = [row for row in re.findall(r"^\| (.*) \| (.*) \| (.*) \|$", section, re.MULTILINE) if row[0] != "to change"]
    assert len(rows) >= 30
    for change, files, shown in rows:
        assert _places(files), change
        assert _places(shown) or shown.startswith(("`make ", "itself", "as a ", "golden")), change


def test_the_picture_of_what_runs_names_what_is_there() -> None:
    named = set(re.findall(r"[\w-]+(?:/[\w.-]*)+", RUNS.replace("<br/>", " ")))
    assert named
    assert {place for place in named if not _path(place).exists()} == set()
    assert {place.split("/")[0] for place in named} >= {
        folder.name for folder in OPERATOR.iterdir() if _is_package(folder)
    } - {"core"}


def test_every_folder_is_in_the_picture_of_imports_and_in_the_table() -> None:
    assert {name for arrow in _drawn() for name in arrow} == _parts()
    table = set(re.findall(r"^\| `(\w+)(?:/|\.py)` \|", TEXT, re.MULTILINE))
    assert table == _parts()


def test_the_picture_shows_the_imports_that_there_are_and_no_others() -> None:
    assert _drawn() == _without_shortcuts(_imports()), "draw these arrows"


def _drawn() -> set[tuple[str, str]]:
    return {(found[1], found[2]) for found in re.finditer(r"^\s+(\w+) --> (\w+)$", IMPORTS, re.MULTILINE)}


def _is_package(folder: Path) -> bool:
    return (folder / "__init__.py").exists()


def _parts() -> set[str]:
    """Return the folders of the operator, and the modules that are in none."""
    modules = {path.stem for path in OPERATOR.glob("*.py") if not path.stem.startswith("__")}
    return modules | {folder.name for folder in OPERATOR.iterdir() if _is_package(folder)}


@cache
def _imports() -> frozenset[tuple[str, str]]:
    """Return which part imports which."""
    found = set()
    for file in OPERATOR.rglob("*.py"):
        part = file.relative_to(OPERATOR).parts[0].removesuffix(".py")
        found |= {(part, other) for other in _imported(file) if other != part}
    parts = _parts()
    return frozenset(arrow for arrow in found if set(arrow) <= parts)


def _imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            package, _, rest = node.module.partition(".")
            if package == "hca_operator":
                yield from [rest.split(".")[0]] if rest else [alias.name for alias in node.names]


def _without_shortcuts(arrows: frozenset[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return the arrows without those that others lead around."""
    return {(start, end) for start, end in arrows if end not in _reached(start, arrows - {(start, end)})}


def _reached(start: str, arrows: frozenset[tuple[str, str]]) -> set[str]:
    found, waiting = set[str](), [start]
    while waiting:
        here = waiting.pop()
        for end in {end for begin, end in arrows if begin == here} - found:
            found.add(end)
            waiting.append(end)
    return found
