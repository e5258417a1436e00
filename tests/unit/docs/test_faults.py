"""Each fault of docs/faults.md is tested under its number, or it is said why it cannot be yet."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]

NOT_YET = {
    33: "ServiceMonitor and HTTPRoute, the optional kinds, are not made",
}
PARTLY_NOT_YET = {
    12: "traffic.annotations, with the list of what is allowed",
}


def documented() -> dict[int, str]:
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", (ROOT / "docs" / "faults.md").read_text(), re.MULTILINE)
    return {int(number): text for number, text in rows}


def numbers_of_tests() -> set[int]:
    text = "\n".join(path.read_text() for path in ROOT.glob("tests/**/test_*.py"))
    return {int(number) for number in re.findall(r"^(?:async )?def test_fault_(\d\d)_", text, re.MULTILINE)}


def test_every_fault_has_a_test_of_its_number_and_every_number_is_a_fault() -> None:
    assert numbers_of_tests() == documented().keys() - NOT_YET.keys()


def test_what_is_not_there_yet_is_said() -> None:
    said = {number for number, text in documented().items() if "not yet" in text.lower()}
    assert said == NOT_YET.keys() | PARTLY_NOT_YET.keys()
