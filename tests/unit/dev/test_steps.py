import os
import threading
import time
from pathlib import Path

import pytest

from dev import cache
from dev import steps as steps_module
from dev.steps import ClusterError, Step, Steps, answer


@pytest.fixture(autouse=True)
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LOGS", tmp_path)


def test_a_step_starts_after_the_ones_it_needs() -> None:
    order: list[str] = []
    first_may_end = threading.Event()

    def first(_: Step) -> str:
        first_may_end.wait(10)
        order.append("first")
        return "result"

    with Steps() as steps:
        needed = steps.start("first", first)
        steps.start("second", lambda _: order.append(f"second has {needed.result()}"), after=[needed])
        first_may_end.set()
        steps.join()
    assert order == ["first", "second has result"]


def test_a_failure_ends_the_commands_beside_it_and_starts_nothing_after_it() -> None:
    began = time.monotonic()
    started: list[str] = []

    def fail(step: Step) -> None:
        step.run("false")

    def follow(_: Step) -> None:
        started.append("follow")

    def run() -> None:
        with Steps() as steps:
            steps.start("long", lambda step: step.run("sleep", "60"))
            steps.start("following", follow, after=[steps.start("failing", fail)])
            steps.join()

    with pytest.raises(ClusterError, match="failing: `false` failed"):
        run()
    assert time.monotonic() - began < 30
    assert started == []


def test_a_failure_names_the_log_and_shows_how_it_ends(tmp_path: Path) -> None:
    step = Step("building", tmp_path / "building.log")
    with pytest.raises(ClusterError) as failure:
        step.run("bash", "-c", "seq 100; echo no space left >&2; exit 3")
    text = str(failure.value)
    assert str(step.log) in text
    assert text.endswith("  | no space left")
    assert "  | 50\n" not in text


def test_a_command_that_is_not_there_is_said_plainly(tmp_path: Path) -> None:
    step = Step("step", tmp_path / "step.log")
    with pytest.raises(ClusterError, match="no-such-program is not installed here"):
        step.run("no-such-program")
    assert not step.succeeds("no-such-program", timeout=1)


def test_a_command_that_takes_too_long_does_not_succeed_and_is_ended(tmp_path: Path) -> None:
    began = time.monotonic()
    assert not Step("step", tmp_path / "step.log").succeeds("sleep", "60", timeout=0.1)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("odd", ["folder", "forbidden", "foreign"])
def test_a_command_that_cannot_be_run_is_said_plainly(odd: str, tmp_path: Path) -> None:
    program = tmp_path / "docker"
    if odd == "folder":
        program.mkdir()
    else:
        program.write_bytes(b"\x7fELF of another machine")
        program.chmod(0o755 if odd == "foreign" else 0o644)
    with pytest.raises(ClusterError, match=r"docker cannot be run here \(.*\): install it anew"):
        Step("engine", tmp_path / "log").run(program)


def test_a_command_that_heeds_no_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps_module, "ENDS_WITHIN_SECONDS", 0.2)
    step = Step("engine", tmp_path / "log")
    assert not step.succeeds("bash", "-c", "trap '' TERM; while :; do sleep 60; done", timeout=0.5)


def test_what_is_read_need_not_be_utf_8_and_comes_in_time(tmp_path: Path) -> None:
    step = Step("engine", tmp_path / "log")
    assert step.read("bash", "-c", r"printf 'caf\351\n'") == "caf\N{REPLACEMENT CHARACTER}"
    assert step.succeeds("bash", "-c", "true", os.fsdecode(b"caf\xe9"), timeout=10)
    with pytest.raises(ClusterError, match=r"engine: `sleep 60` gave no answer in 0 s; the whole log is"):
        step.read("sleep", "60", timeout=0.1)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo yes", "yes\n"),
        (r"printf '\351'", "\N{REPLACEMENT CHARACTER}"),
        ("echo yes; exit 1", None),
        ("sleep 60 & wait", None),
    ],
)
def test_an_answer_is_what_a_command_that_ends_well_prints(script: str, expected: str | None) -> None:
    assert answer(("bash", "-c", script), timeout=0.5) == expected
    assert answer(("no-such-program",), timeout=0.5) is None
