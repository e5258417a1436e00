"""The commands that need neither Docker nor root."""

import fcntl
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dev import __main__ as main
from dev import cache, debian, host, python
from dev.host import Host
from dev.steps import ClusterError, Step

ROOT = Host(programs=frozenset(), root=True, apt=True, ca_bundle=True, venv=True, venv_package="python3.13-venv")


@dataclass
class Machine:
    """What a machine of a test is like, and what was done on it."""

    current: bool = False
    done: list[str] = field(default_factory=list)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()

    def create(_: Step) -> None:
        with (tmp_path / "lock").open("w") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        made.done.append("environment")

    monkeypatch.setattr(cache, "HOME", tmp_path)
    monkeypatch.setattr(cache, "LOGS", tmp_path / "logs")
    monkeypatch.setattr(host, "observe", lambda _: ROOT)
    monkeypatch.setattr(python, "is_current", lambda _: made.current)
    monkeypatch.setattr(python, "create_environment", create)
    monkeypatch.setattr(python, "lock", create)
    monkeypatch.setattr(debian, "install", lambda *_: made.done.append("apt"))
    return made


def test_an_environment_that_is_as_it_should_be_asks_for_nothing(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.current = True
    monkeypatch.setattr(host, "observe", lambda _: pytest.fail("the machine is asked"))
    main.create_environment()
    assert machine.done == []


@pytest.mark.parametrize("missing", ["certificates", "venv"])
def test_unit_tests_install_no_package_not_even_as_root(
    missing: str, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = Host(frozenset(), root=True, apt=True, ca_bundle=missing != "certificates", venv=missing != "venv")
    monkeypatch.setattr(host, "observe", lambda _: Host(**vars(bare) | {"venv_package": "python3.13-venv"}))
    package = {"certificates": "ca-certificates", "venv": "python3.13-venv"}[missing]
    with pytest.raises(ClusterError) as refusal:
        main.create_environment()
    expected = f"{package} must be installed: run `apt-get install {package}` as root, then try again"
    assert (str(refusal.value), machine.done) == (expected, [])


def test_the_environment_and_the_lock_files_are_made_by_one_run_at_a_time(machine: Machine) -> None:
    main.lock()
    assert machine.done == ["environment", "environment"]


def test_a_second_run_says_that_it_waits(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    with cache.exclusive(lambda _: None):
        second = threading.Thread(target=main.create_environment)
        second.start()
        while "another run is changing the cluster or the Python environment" not in capsys.readouterr().out:
            second.join(0.01)
    second.join()
    assert machine.done == ["environment"]


def help_text(**environment: str) -> str:
    command = (sys.executable, "-m", "dev", "--help")
    options = {"HOME": str(cache.HOME)} | environment
    ran = subprocess.run(command, env=options, cwd=cache.REPOSITORY, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


def test_a_package_of_the_same_name_elsewhere_is_not_taken_for_this_one(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "__init__.py").write_text("raise SystemExit('another')\n")
    assert help_text(PYTHONPATH=str(tmp_path)).startswith("usage: python -m dev ")


def test_an_environment_without_a_path_has_the_system_s() -> None:
    assert help_text().startswith("usage: python -m dev ")
