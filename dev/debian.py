"""Debian's packages, and Debian base images where no registry has them for us."""

import shutil
import threading
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from dev import host, plan
from dev.host import CA_BUNDLE
from dev.steps import Step

UPDATES_WITHIN = 300.0
# A machine that has just started may be installing its updates: wait for apt's lock.
APT_GET = ("apt-get", "-o", "DPkg::Lock::Timeout=300")
_updated = threading.Event()


def ensure(step: Step, needed: plan.Needed) -> None:
    """Have these programs, certificates and Python's venv: install what is missing."""
    install(step, plan.packages(host.observe(needed), needed))


def refuse_missing(needed: plan.Needed) -> None:
    """Say what is missing of these programs, certificates and Python's venv, and install nothing."""
    plan.packages(replace(host.observe(needed), root=False), needed)


def install(step: Step, wanted: Iterable[str]) -> None:
    """Install packages; of "a | b" the first that this release has."""
    choices = [package.split(" | ") for package in wanted]
    if not choices:
        step.note = "none missing"
        return
    _update(step)
    packages = sorted({next((name for name in names if _has(step, name)), names[-1]) for names in choices})
    # Without systemd a package's init script would start its service in a way that is not ours.
    quiet = {"DEBIAN_FRONTEND": "noninteractive"} | ({} if Path("/run/systemd/system").exists() else {"RUNLEVEL": "1"})
    step.run(*APT_GET, "install", "--yes", "--no-install-recommends", *packages, env=quiet)
    step.note = f"installed {', '.join(packages)}"


def _update(step: Step) -> None:
    """Have lists of packages as they are now, once in a run."""
    if not _updated.is_set():
        # One source of packages that fails is no reason to stop: what is wanted may come from another.
        step.succeeds(*APT_GET, "update", timeout=UPDATES_WITHIN)
        _updated.set()


def _has(step: Step, package: str) -> bool:
    return step.succeeds("apt-cache", "show", package, timeout=30)


def mirror(sources: Iterable[str]) -> str | None:
    """Return the package mirror that this machine's own apt sources name."""
    for text in sources:
        for line in text.splitlines():
            words = [word for word in line.split() if not word.startswith(("[", "signed-by", "arch"))]
            if len(words) > 1 and words[0] in {"URIs:", "deb"} and words[1].endswith("/debian"):
                return words[1]
    return None


def import_image(step: Step, image: str, suite: str, packages: tuple[str, ...], work: Path) -> None:
    """Make a Debian base image from nothing but a package mirror."""
    root, archive = work / "root", work / "root.tar"
    apt = Path("/etc/apt")
    lists = [*apt.glob("sources.list.d/*.sources"), apt / "sources.list"]
    sources = [path.read_text(errors="replace") for path in lists if path.is_file()]
    wanted = ",".join((*packages, "ca-certificates"))
    # A mount namespace of its own takes debootstrap's mounts away with it, however it ends.
    bootstrap = ["unshare", "--mount", "debootstrap", "--variant=minbase", f"--include={wanted}", suite, str(root)]
    step.run(*bootstrap, *([found] if (found := mirror(sources)) else []))
    for waste in ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"):
        shutil.rmtree(root / waste, ignore_errors=True)
    (root / "var/cache/apt/archives/partial").mkdir(parents=True)
    # The host may reach the package registries through certificates of its own; what is built on this image must too.
    shutil.copy(CA_BUNDLE, root / "etc/ssl/certs/")
    step.run("tar", "-C", root, "-cf", archive, ".")
    trust = [option for name in ("PIP_CERT", "SSL_CERT_FILE") for option in ("--change", f"ENV {name}={CA_BUNDLE}")]
    step.run("docker", "import", *trust, "--change", 'CMD ["bash"]', archive, image)
