"""Manifests come out of Go modules without Go, and only with the content that was pinned."""

import zipfile
from pathlib import Path

import pytest

from dev import cache, modules, versions, workloads
from dev.steps import ClusterError, Step

MODULE, VERSION = "example.org/module", "v1.2.3"


@pytest.fixture
def step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Step:
    """A step of a machine whose module proxy is a folder with one module."""
    archive = tmp_path / "proxy" / MODULE / "@v" / f"{VERSION}.zip"
    archive.parent.mkdir(parents=True)
    with zipfile.ZipFile(archive, "w") as files:
        for name in ("go.mod", "manifests/base/one.yaml", "manifests/other.yaml"):
            files.writestr(f"{MODULE}@{VERSION}/{name}", f"content of {name}")
    monkeypatch.setattr(cache, "HOME", tmp_path / "home")
    monkeypatch.setenv("GOPROXY", f"file://{tmp_path}/proxy,direct")
    # As `go mod download -json` says for this module.
    monkeypatch.setitem(versions.MODULE_SUMS, f"{MODULE} {VERSION}", modules.content_sum(zipfile.ZipFile(archive)))
    return Step("fetch", tmp_path / "fetch.log")


def test_a_folder_of_a_module_is_fetched_once(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = modules.fetch(step, MODULE, VERSION, "manifests/base")
    assert [str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()] == ["manifests/base/one.yaml"]
    assert (folder / "manifests/base/one.yaml").read_text() == "content of manifests/base/one.yaml"
    monkeypatch.setenv("GOPROXY", "file:///nowhere")
    assert modules.fetch(step, MODULE, VERSION, "manifests/base") == folder


def test_other_content_than_the_pinned_one_is_refused_and_nothing_kept(
    step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(versions.MODULE_SUMS, f"{MODULE} {VERSION}", "h1:other")
    with pytest.raises(ClusterError, match=r"has the sum h1:\S+ and MODULE_SUMS in dev/versions.py says h1:other"):
        modules.fetch(step, MODULE, VERSION, "manifests/base")
    assert list((cache.HOME / "src").iterdir()) == []


def test_a_proxy_that_does_not_answer_is_named(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOPROXY", "file:///nowhere")
    with pytest.raises(ClusterError, match=r"cannot be fetched .*: check the network and GOPROXY"):
        modules.fetch(step, MODULE, VERSION, "manifests/base")


@pytest.mark.parametrize(
    ("setting", "proxy"),
    [
        ("https://one.example/,https://two.example,direct", "https://one.example"),
        ("off|https://two.example", "https://two.example"),
    ],
)
def test_the_first_proxy_that_go_would_ask_is_asked(setting: str, proxy: str) -> None:
    assert modules.proxy(setting) == proxy


def test_a_setting_without_a_proxy_is_refused_in_one_sentence() -> None:
    with pytest.raises(ClusterError, match="GOPROXY is 'direct', which names no module proxy: unset it, or name one"):
        modules.proxy("direct")


def test_the_sum_is_the_one_of_go_sum_files(tmp_path: Path) -> None:
    archive = tmp_path / "module.zip"
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr("m@v1/b", "two")
        files.writestr("m@v1/a", "one")
    # (cd root && sha256sum m@v1/a m@v1/b) | sha256sum | xxd -r -p | base64
    assert modules.content_sum(zipfile.ZipFile(archive)) == "h1:QioaE1iy6ZDvqZamf7vDXvT1moS1nWAooMrZ8QpmCNU="


def test_every_module_that_manifests_come_from_is_pinned() -> None:
    assert {f"{addon.module} {addon.version}" for addon in workloads.ADDONS} <= versions.MODULE_SUMS.keys()
