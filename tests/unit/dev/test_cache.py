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
