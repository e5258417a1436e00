"""The documents say what is there."""

import re
from pathlib import Path

import pytest

from hca_operator.api.reference import anchor
from hca_operator.api.status import ConditionType, Reason

ROOT = Path(__file__).parents[3]
DOCUMENTS = [
    path.relative_to(ROOT) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md"))
]


@pytest.mark.parametrize("document", ["README.md", "docs/fleet.md"])
def test_the_example_is_shown_as_it_is(document: str) -> None:
    shown = re.findall(r"<!-- (\S+) -->\n```yaml\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)
    assert shown
    for path, text in shown:
        assert text == (ROOT / path).read_text(), f"{document} shows another {path} than there is"


def test_every_condition_and_reason_is_documented() -> None:
    rows = re.findall(r"^\| (\w+) \|", (ROOT / "docs" / "conditions.md").read_text(), re.MULTILINE)
    assert set(map(str, [*ConditionType, *Reason])) == set(rows) - {"condition", "reason"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_lead_somewhere(document: Path) -> None:
    text = re.sub("`[^`\n]*`", "", _prose(ROOT / document))  # a regular expression may look like a link
    for target in re.findall(r"\]\(([^)]+)\)", text):
        path, _, section = target.partition("#")
        if "://" in target:
            continue
        found = (ROOT / document.parent / path) if path else ROOT / document
        assert found.exists(), f"{document} links to {target}, which is not there"
        headings = re.findall(r"^#+ (.*)", _prose(found), re.MULTILINE) if section else []
        assert not section or section in map(anchor, headings), f"{document} links to {target}: no such heading"


def _prose(path: Path) -> str:
    """A document without its listings."""
    return re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_every_make_target_that_is_named_exists(document: str) -> None:
    named = set(re.findall(r"(?:`|\$ |\()make ([a-z0-9]+)", (ROOT / document).read_text()))
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert named
    assert named <= targets
