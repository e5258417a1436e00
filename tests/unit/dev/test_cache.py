import subprocess
import sys
from pathlib import Path

import pytest

from dev import cache


def test_a_folder_that_could_not_be_made_is_absent_and_made_again(tmp_path: Path) -> None:
    target = tmp_path / "made"

    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise InterruptedError

    with pytest.raises(InterruptedError):
        cache.publish(target, fail)
    assert list(tmp_path.iterdir()) == []
    cache.publish(target, lambda folder: (folder / "whole").touch())
    assert [path.name for path in target.iterdir()] == ["whole"]


def test_a_folder_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    target = tmp_path / "made"
    cache.publish(target, lambda folder: (folder / "first").touch())
    cache.publish(target, lambda folder: (folder / "second").touch())
    assert [path.name for path in target.iterdir()] == ["first"]


def test_a_folder_s_key_changes_with_content_name_and_executable_bit(tmp_path: Path) -> None:
    keys = [cache.tree_key(tmp_path)]
    path = tmp_path / "entrypoint"
    path.write_text("one")
    keys.append(cache.tree_key(tmp_path))
    path.write_text("two")
    keys.append(cache.tree_key(tmp_path))
    path.chmod(0o755)
    keys.append(cache.tree_key(tmp_path))
    path.rename(tmp_path / "init")
    keys.append(cache.tree_key(tmp_path))
    assert len(set(keys)) == len(keys)
    assert cache.tree_key(tmp_path) == keys[-1]


def test_of_two_runs_that_make_the_same_folder_one_wins_and_both_go_on(tmp_path: Path) -> None:
    target = tmp_path / "made"

    def make(folder: Path) -> None:
        (folder / "second").touch()
        cache.publish(target, lambda first: (first / "first").touch())

    assert cache.publish(target, make) == target
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["made", "made/first"]


def test_a_folder_that_cannot_be_put_in_its_place_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        cache.publish(tmp_path / "made", lambda folder: folder.rmdir())


UNKNOWN_USER = """
import pwd
def getpwuid(uid): raise KeyError(uid)
pwd.getpwuid = getpwuid
from dev import cache, host
from dev.steps import Step
print(cache.HOME, host.observe_engine(Step("engine", cache.HOME / "log")).endpoint)
"""


@pytest.mark.parametrize("home", [{}, {"HOME": "relative"}])
def test_a_user_without_a_home_folder_is_asked_for_one(home: dict[str, str], tmp_path: Path) -> None:
    def run(**environment: str) -> subprocess.CompletedProcess[str]:
        command = (sys.executable, "-c", UNKNOWN_USER)
        options = {"PATH": str(tmp_path), "PYTHONPATH": str(cache.REPOSITORY)} | home | environment
        return subprocess.run(command, env=options, capture_output=True, text=True, check=False, cwd=tmp_path)

    refused = run()
    sentence = "this user has no home folder to keep a cache in: set HOME or XDG_CACHE_HOME to an absolute path\n"
    assert (refused.returncode, refused.stdout, refused.stderr) == (1, "", sentence)
    named = run(XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert (named.returncode, named.stdout) == (0, f"{tmp_path}/cache/hca-operator None\n"), named.stderr
