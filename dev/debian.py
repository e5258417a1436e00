"""What a bare Debian machine lacks: its packages, and Debian base images where no registry has them for us."""

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from dev.steps import ClusterError, Step

# Each command that is needed and the package that brings it.
ENGINE = {"dockerd": "docker.io", "docker": "docker.io", "iptables": "iptables"}
IMAGE_BUILDER = {"debootstrap": "debootstrap", "gcc": "gcc", "unshare": "util-linux"}
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


def missing_packages(needed: dict[str, str], which: Callable[[str], str | None] = shutil.which) -> list[str]:
    """Return the packages for the commands that are not there."""
    return sorted({package for command, package in needed.items() if not which(command)})


def ensure(step: Step, needed: dict[str, str]) -> None:
    """Install the packages of the commands that are missing, where that is ours to do."""
    packages = missing_packages(needed)
    if importlib.util.find_spec("ensurepip") is None:
        packages.append("python3-venv")
    if not packages:
        step.note = "none missing"
        return
    step.note = ", ".join(packages)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise ClusterError(f"{step.note} must be installed: do it, or run this as root on Debian")
    # Without systemd a package's init script would start its service in a way that is not ours.
    quiet = {"DEBIAN_FRONTEND": "noninteractive"} | ({} if Path("/run/systemd/system").exists() else {"RUNLEVEL": "1"})
    step.run("apt-get", "update", env=quiet)
    if "docker.io" in packages and step.succeeds("apt-cache", "show", "docker-cli", timeout=30):
        packages.append("docker-cli")  # a package of its own from trixie on
    step.run("apt-get", "install", "--yes", "--no-install-recommends", *packages, env=quiet)


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
    sources = [path.read_text() for path in lists if path.is_file()]
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
