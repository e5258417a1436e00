"""Every design note is in the index with its state, and names files that there are."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "docs" / "design"
NOTES = sorted(FOLDER.glob("[0-9]*.md"))[1:]
TEMPLATE = FOLDER / "0000-template.md"
HEADINGS = ["Context", "Decision", "Alternatives", "Consequences", "Tests", "Upgrade"]
ROWS = re.findall(r"^\| \[(.*)\]\((.*)\) \| (.*) \| (.+) \|$", (FOLDER / "README.md").read_text(), re.MULTILINE)


def test_every_note_is_in_the_index_under_its_title() -> None:
    titles = [(note.read_text().partition("\n")[0].removeprefix("# "), note.name) for note in NOTES]
    assert [(title, file) for title, file, _, _ in ROWS] == titles


def test_a_note_is_named_by_its_number() -> None:
    numbers = [title.partition(" ")[0] for title, *_ in ROWS]
    assert numbers == sorted({f"{int(number):04}" for number in numbers}), "each once, and in order"
    assert [file.partition("-")[0] for _, file, _, _ in ROWS] == [title.partition(" ")[0] for title, *_ in ROWS]


def test_a_note_has_a_state_and_one_that_is_superseded_names_its_successor() -> None:
    files = {file for _, file, _, _ in ROWS}
    for title, _, state, _ in ROWS:
        successor = re.fullmatch(r"superseded by \[\d{4}\]\((.*)\)", state)
        assert state in {"proposed", "accepted"} or (successor and successor[1] in files), f"{title}: {state}"


def test_the_template_asks_for_what_a_decision_needs() -> None:
    assert _headings(TEMPLATE) == HEADINGS


@pytest.mark.parametrize("note", NOTES, ids=lambda note: note.name)
def test_a_note_has_the_headings_of_the_template(note: Path) -> None:
    found = _headings(note)
    assert [name for name in HEADINGS if name in found] == found, "no others, each once, and in order"
    assert set(HEADINGS) - set(found) <= {"Consequences"}


def _headings(note: Path) -> list[str]:
    return re.findall(r"^## (.+)$", note.read_text(), re.MULTILINE)


@pytest.mark.parametrize("note", NOTES, ids=lambda note: note.name)
def test_a_note_names_files_that_there_are(note: Path) -> None:
    for name in re.findall(r"`([\w./-]+\.(?:py|js))`", note.read_text()):
        folders = ("operator", "workers", "sample-app", "dev", "tests")
        assert any(found for folder in folders for found in (ROOT / folder).rglob(name.rpartition("/")[2])
                   if found.as_posix().endswith(f"/{name}")), f"{name} was moved or renamed"  # fmt: skip
