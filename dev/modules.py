"""Files out of Go modules, fetched without Go: manifests that their authors publish no other way for a program."""

import base64
import hashlib
import os
import urllib.request
import zipfile
from pathlib import Path

from dev import cache, go, versions
from dev.steps import ClusterError, Step

ANSWERS_WITHIN = 60.0


def fetch(step: Step, module: str, version: str, *folders: str) -> Path:
    """Copy folders of a module into the cache, unless they are there, and return where they are."""

    def make(made: Path) -> None:
        archive = made.with_name("module.zip")
        download(f"{proxy(setting(step))}/{module}/@v/{version}.zip", archive)
        with zipfile.ZipFile(archive) as files:
            refuse_other_content(files, f"{module} {version}")
            extract(files, f"{module}@{version}/", folders, made)
        step.note = f"fetched {module} {version}"

    name = f"{module.rpartition('/')[2]}-{cache.key(module, version, *folders)}"
    return cache.publish(cache.HOME / "src" / name, make)


def setting(step: Step) -> str:
    """Return GOPROXY as the environment has it, else as Go itself does: its default is Go's to know."""
    named = os.environ.get("GOPROXY", "")
    return named if "://" in named else step.read(go.on_machine() or go.from_wheel(step), "env", "GOPROXY")


def proxy(setting: str) -> str:
    """Return the first module proxy that a GOPROXY setting names."""
    named = [part for part in setting.replace("|", ",").split(",") if "://" in part]
    if not named:
        raise ClusterError(f"GOPROXY is {setting!r}, which names no module proxy: unset it, or name one")
    return named[0].rstrip("/")


def download(url: str, target: Path) -> None:
    try:
        with urllib.request.urlopen(url, timeout=ANSWERS_WITHIN) as answer, target.open("wb") as file:  # noqa: S310
            while block := answer.read(2**20):
                file.write(block)
    except OSError as error:
        raise ClusterError(f"{url} cannot be fetched ({error}): check the network and GOPROXY") from error


def content_sum(files: zipfile.ZipFile) -> str:
    """Return the sum that go.sum files have for a module: of its files' sums and names."""
    lines = [f"{hashlib.sha256(files.read(name)).hexdigest()}  {name}\n" for name in sorted(files.namelist())]
    return "h1:" + base64.b64encode(hashlib.sha256("".join(lines).encode()).digest()).decode()


def refuse_other_content(files: zipfile.ZipFile, module: str) -> None:
    """Fail where a module's content is not the one that was pinned."""
    wanted, found = versions.MODULE_SUMS.get(module), content_sum(files)
    if found != wanted:
        raise ClusterError(f"{module} has the sum {found} and MODULE_SUMS in dev/versions.py says {wanted}")


def extract(files: zipfile.ZipFile, prefix: str, folders: tuple[str, ...], target: Path) -> None:
    for name in files.namelist():
        inside = name.removeprefix(prefix)
        if inside.startswith(tuple(f"{folder}/" for folder in folders)):
            path = target / inside
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(files.read(name))
