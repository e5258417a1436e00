"""The operator as it was before, for upgrades to the one that is there now."""

import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from dev import workloads
from dev.cache import REPOSITORY
from dev.steps import Step
from tests.e2e.cluster import Cluster

FROZEN = "tests/unit/operator/desired/frozen"
"""Changes in the commit that changes the pods of every API on purpose."""


@dataclass(frozen=True)
class Previous:
    """A chart and the values that make it the previous one."""

    chart: Path
    values: tuple[str, ...]
    same_pods: bool
    """Whether it makes the same pods as the one of now."""


def previous_operator(cluster: Cluster, folder: Path) -> Previous:
    """The chart and the image of before the latest change to either, as the main line had them.

    Where there is no history (a source archive, a clone of one commit), the chart of now in another version and with
    other pods of its own: an upgrade all the same, if not between two states of the code.
    """
    commit = _git("rev-list", "--first-parent", "--skip=1", "--max-count=1", "HEAD", "--", "charts", "operator")
    if not commit:
        return _disguised(folder)
    archive = folder / "previous.tar"
    assert _git("archive", f"--output={archive}", commit) is not None
    with tarfile.open(archive) as packed:
        packed.extractall(folder / "previous", filter="data")
    source = folder / "previous"
    name = f"{workloads.OPERATOR_IMAGE.name.partition(':')[0]}:previous"
    image = workloads.OwnImage(name, source / "operator" / "Dockerfile", source)
    image.build(Step("previous image", folder / "image.log"), own_base=True)
    cluster.load_images([image.name])
    same_pods = _git("diff", "--quiet", commit, "--", FROZEN) is not None
    return Previous(source / "charts", ("--set=image.tag=previous",), same_pods)


def _disguised(folder: Path) -> Previous:
    chart = Path(shutil.copytree(workloads.CHART, folder / "charts"))
    about = chart / "Chart.yaml"
    version = next(line for line in about.read_text().splitlines() if line.startswith("version: "))
    about.write_text(about.read_text().replace(version, "version: 0.0.1"))
    return Previous(chart, ("--set=logLevel=debug",), same_pods=True)


def _git(*arguments: str) -> str | None:
    """What git says, None where it refuses."""
    done = subprocess.run(
        ["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60
    )  # fmt: skip
    return None if done.returncode else done.stdout.strip()
