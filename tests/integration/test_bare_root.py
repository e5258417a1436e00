"""The set-up on machines that lack something: its own code and real packages, in bare Debian roots with an engine.

tests/unit/dev/test_plan.py has the table of every decision.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from dev import node_image, versions
from dev.cache import REPOSITORY
from dev.host import CA_BUNDLE
from dev.node_image import Base
from dev.steps import Step
from tests.integration import debian_base

SUITES = ("bookworm", "trixie")
PYTHON = {"bookworm": "python3.11", "trixie": "python3.13"}
PARTS = ("dev", "Makefile", "pyproject.toml", "kind-config.yaml")  # what the set-up reads of the repository
ENGINE = {"containerd", "docker.io", "iptables", "runc"}
WITHIN = 240.0
CACHE = "$HOME/.cache/hca-operator"  # for a shell in the container
BUNDLE = "/repository/authorities.crt"

PACKAGES = """\
FROM {base}
ENV DEBIAN_FRONTEND=noninteractive
# Packages are downloaded once, for every start. A root that is thrown away needs no fsync.
RUN rm -f /etc/apt/apt.conf.d/docker-clean && echo force-unsafe-io > /etc/dpkg/dpkg.cfg.d/unsafe-io && \\
    echo 'Acquire::Languages "none";' > /etc/apt/apt.conf.d/languages && apt-get update && \\
    apt-get install --yes --no-install-recommends make python3 && \\
    apt-get install --yes --no-install-recommends --download-only ca-certificates {python}-venv {packages} && \\
    if apt-cache show docker-cli; then apt-get install --yes --download-only docker-cli; fi && \\
    apt-get purge --yes ca-certificates openssl && rm -rf /etc/ssl/certs /usr/share/ca-certificates
"""
# A container's systemd has no devices and no consoles to look after. What the host may not raise, no service sets.
SYSTEMD = """\
RUN apt-get install --yes --no-install-recommends systemd-sysv ca-certificates {python}-venv docker.io iptables && \\
    find /lib/systemd/system/*.target.wants /etc/systemd/system/getty.target.wants -mindepth 1 \\
        ! -name '*dbus*' ! -name '*journald*' ! -name 'docker*' ! -name '*tmpfiles*' -delete && \\
    for unit in docker containerd; do mkdir /etc/systemd/system/$unit.service.d && \\
        printf '[Service]\\nOOMScoreAdjust=0\\nLimitNOFILE=\\nLimitNPROC=\\nLimitCORE=\\n' \\
            > /etc/systemd/system/$unit.service.d/limits.conf; done
ENV container=docker
"""
IS_UP = "until systemctl is-system-running --wait | grep -E 'running|degraded'; do sleep 0.1; done"


class BareRoot:
    """One container: Debian with Python and make, and the repository's own set-up."""

    def __init__(self, suite: str, image: str, repository: Path, *command: str) -> None:
        # An engine inside it needs a file system that is no overlay below its data.
        options = ("--privileged", "--volume", "/var/lib/docker", "--tmpfs", "/small:size=64m", "--tmpfs", "/run")
        # A registry of Python packages may be reached through authorities that are the host's own.
        bundle = ("--env", f"PIP_CERT={BUNDLE}", "--env", f"SSL_CERT_FILE={BUNDLE}") if CA_BUNDLE.exists() else ()
        self.suite = suite
        self._container = docker(
            *("run", "--detach", *options, *bundle, "--workdir", "/repository"),
            *(image, *(command or ("sleep", "infinity"))),
        )
        docker("cp", f"{repository}/.", f"{self._container}:/repository")

    def close(self) -> None:
        docker("rm", "--force", "--volumes", self._container)

    def run(self, command: str) -> str:
        """Run a command that must succeed and return what it prints."""
        return docker("exec", self._container, "bash", "-c", command)

    def set_up(self, *options: str, program: Sequence[str] = ("-m", "dev", "machine")) -> tuple[int, str]:
        """Run a program of the set-up, with options of `docker exec`; return its exit code and what it prints."""
        command = ("docker", "exec", *options, self._container, "python3", *program)
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=WITHIN, check=False
        )
        print(f"{self.suite} {' '.join(options)}\n{done.stdout}")
        return done.returncode, done.stdout

    def packages(self) -> set[str]:
        """Return the names of the packages that are installed."""
        listed = self.run("dpkg-query --show --showformat '${db:Status-Status} ${Package}\\n'").splitlines()
        return {line.removeprefix("installed ") for line in listed if line.startswith("installed ")}

    def add_client(self) -> None:
        package = "docker-cli" if self.suite == "trixie" else "docker.io"
        archive = f"dpkg-deb --fsys-tarfile /var/cache/apt/archives/{package}_*.deb"
        self.run(f"{archive} | tar -x -C /tmp ./usr/bin/docker && mv /tmp/usr/bin/docker /usr/local/bin/docker")

    def add_go(self, version: str) -> None:
        self.run(f"printf '#!/bin/sh\\necho go{version}\\n' > /usr/local/bin/go && chmod +x /usr/local/bin/go")


def docker(*arguments: str | Path) -> str:
    command = ("docker", *arguments)
    done = subprocess.run(command, env=None, capture_output=True, text=True, timeout=2 * WITHIN, check=False)
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the set-up reads of the repository."""
    folder = tmp_path_factory.mktemp("repository")
    for part in PARTS:
        source, target = REPOSITORY / part, folder / part
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    (folder / "tests").mkdir()
    (folder / "tests" / "requirements.txt").write_text(one_requirement())
    if CA_BUNDLE.exists():
        shutil.copy(CA_BUNDLE, folder / Path(BUNDLE).name)
    node_image.let_everybody_read(folder)  # some starts are of another user than the one who cloned this
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An image of each release."""
    return {suite: build_image(suite, tmp_path_factory.mktemp(suite)) for suite in SUITES}


def one_requirement() -> str:
    """Return a part of the lock file: which packages the environment has is not what is tried here."""
    found = re.search(r"^iniconfig==(.+\n)+?(?=\S)", (REPOSITORY / "tests/requirements.txt").read_text(), re.MULTILINE)
    assert found
    return found.group()


def build_image(suite: str, work: Path, more: str = "") -> str:
    """Build an image of a release, with more packages or without, and return its name."""
    step = Step("image", work / "build.log")
    base = debian_base.have(step, Base(f"debian:{suite}-slim", suite))
    image = f"hca-bare-root:{suite}{'-more' if more else ''}"
    context = work / "context"
    context.mkdir()
    text = (PACKAGES + more).format(base=base, python=PYTHON[suite], packages=" ".join(sorted(ENGINE)))
    (context / "Dockerfile").write_text(text)
    step.run("docker", "build", "--tag", image, context, env=node_image.CLASSIC_BUILDER)
    return image


@pytest.fixture(scope="module", params=SUITES)
def root(request: pytest.FixtureRequest, images: dict[str, str], repository: Path) -> Iterator[BareRoot]:
    """A machine with a Docker client alone; what is refused on it changes nothing."""
    with closing(BareRoot(request.param, images[request.param], repository)) as bare:
        bare.add_client()
        bare.add_go(versions.GO_WHEEL)
        yield bare


REFUSALS = [
    pytest.param(
        ("--env", "DOCKER_HOST=tcp://127.0.0.1:9"),
        "Docker does not answer at tcp://127.0.0.1:9, which DOCKER_HOST names: start it there, or unset DOCKER_HOST",
        id="DOCKER_HOST-dead",
    ),
    pytest.param(
        ("--env", "DOCKER_CONTEXT=far"),
        "Docker does not answer at tcp://127.0.0.1:9, which the Docker context `far` names: "
        "start it there, or unset DOCKER_CONTEXT",
        id="context-elsewhere",
    ),
    pytest.param(
        ("--user", "1000:1000", "--env", "HOME=/tmp/home"),
        "dockerd, containerd, runc, iptables, ca-certificates, {python}-venv must be installed: "
        "run `apt-get install docker.io containerd runc iptables ca-certificates {python}-venv` as root, "
        "then try again",
        id="not-root",
    ),
    pytest.param(
        ("--env", "XDG_CACHE_HOME=/small"),
        "not enough disk at /small/hca-operator: 1 GiB are needed and 0.1 are free: make room, then try again",
        id="disk-too-small",
    ),
]

# The engine is killed in the middle of a step.
KILLING = f"""
from dev import up
with up.engine_run() as run:
    kill = "docker events & kill -9 $(cat {CACHE}/dockerd.pid); wait $!"
    run.steps.start("long work", lambda step: step.run("bash", "-c", kill), after=[run.docker])
"""


@pytest.mark.parametrize(("options", "sentence"), REFUSALS)
def test_what_cannot_work_is_refused_with_one_sentence_and_nothing_changed(
    root: BareRoot, options: tuple[str, ...], sentence: str
) -> None:
    root.run("docker context inspect far || docker context create far --docker host=tcp://127.0.0.1:9")
    before = root.packages()
    assert root.set_up(*options) == (1, f"{sentence.format(python=PYTHON[root.suite])}\n")
    assert root.packages() == before
    assert root.run("ls -A /repository | grep -c venv || true") == "0"


def test_a_client_alone_gets_an_engine_that_answers_and_is_started_again(root: BareRoot) -> None:
    bare = root.packages()
    ordinary_path = ("--env", "PATH=/usr/local/bin:/usr/bin:/bin")
    assert not bare & {*ENGINE, "ca-certificates", f"{PYTHON[root.suite]}-venv"}
    code, said = root.set_up(*ordinary_path)
    assert code == 0, said
    assert root.packages() >= bare | ENGINE | {"ca-certificates", f"{PYTHON[root.suite]}-venv"}
    assert "docker-cli" not in root.packages()  # the client that was there is used
    root.run(f"test -s {CA_BUNDLE} && .venv/bin/python -c 'import iniconfig, pip' && docker network ls")

    code, said = root.set_up(program=("-c", KILLING))
    assert code != 0
    assert "Docker ended in the middle of the work: run the same command again" in said
    root.run("dpkg --remove --force-depends iptables")
    code, said = root.set_up(*ordinary_path)
    assert code == 0, said
    root.run("docker network ls && which iptables")
    code, said = root.set_up(*ordinary_path)
    assert (code, "docker: running" in said) == (0, True), said


def test_a_machine_with_no_docker_and_an_old_go_gets_both(images: dict[str, str], repository: Path) -> None:
    with closing(BareRoot("trixie", images["trixie"], repository)) as bare:
        bare.add_go("1.19.8")
        code, said = bare.set_up()
        assert code == 0, said
        assert bare.packages() >= ENGINE | {"docker-cli"}
        found = bare.run(f"{CACHE}/go-{versions.GO_WHEEL}/go/bin/go version")
        assert found.startswith(f"go version go{versions.GO_WHEEL} ")
        bare.run("docker network ls")


def test_a_stopped_engine_is_started_by_systemd(repository: Path, tmp_path: Path) -> None:
    image = build_image("bookworm", tmp_path, SYSTEMD)
    with closing(BareRoot("bookworm", image, repository, "/sbin/init")) as bare:
        bare.add_go(versions.GO_WHEEL)
        bare.run(f"{IS_UP}; systemctl stop docker.socket docker.service")
        code, said = bare.set_up("--user", "1000:1000", "--env", "HOME=/tmp")
        expected = "Docker is installed but does not run: run `systemctl start docker` as root, then try again\n"
        assert (code, said) == (1, expected)
        code, said = bare.set_up()
        assert (code, "docker: started by systemd" in said) == (0, True), said
        bare.run("systemctl is-active docker.service && docker network ls")
