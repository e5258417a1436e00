"""Which versions of kubectl, helm and kind are used; tests/integration/test_path.py runs some."""

import pytest

from dev import node_image, path, tools, versions
from dev.path import PathTool


@pytest.mark.parametrize(
    ("tool", "prints", "found"),
    [
        (tools.KUBECTL, "Client Version: v1.36.3\nKustomize Version: v5.8.1", (1, 36, 3)),
        (tools.KUBECTL, "wrapper v9.9.9 runs\nClient Version: v1.36.3\n", (1, 36, 3)),
        (tools.HELM, "v3.22.0+g1234567", (3, 22, 0)),
        (tools.HELM, "wrapper v9.9.9 runs\nv3.22.0+g1234567", (3, 22, 0)),
        (tools.KIND, "kind v0.33.0 go1.26.6 linux/amd64", (0, 33, 0)),
        (tools.KIND, "v9.9.9 of a wrapper\nkind v0.33.0 go1.26.6 linux/amd64", (0, 33, 0)),
        (tools.KIND, "no such command", ()),
    ],
)
def test_a_program_s_version_is_the_one_on_its_own_line(tool: PathTool, prints: str, found: tuple[int, ...]) -> None:
    assert path.version(prints, tool.before_version) == found


@pytest.mark.parametrize(
    ("tool", "prints", "fitting"),
    [
        (tools.KUBECTL, "Client Version: v1.37.1", True),
        (tools.KUBECTL, "Client Version: v1.36.0", True),
        (tools.KUBECTL, "Client Version: v1.35.9", False),  # two minors from a cluster of 1.37
        (tools.KUBECTL, "Client Version: v1.38.0", False),
        (tools.HELM, "v3.17.0+g1", True),
        (tools.HELM, "v3.16.4+g1", False),
        (tools.HELM, "v4.0.0+g1", False),
        (tools.KIND, "kind v0.33.9 go1.26", True),
        (tools.KIND, "kind v0.34.0 go1.26", False),
        (tools.KIND, "broken", False),
    ],
)
def test_a_program_fits_by_its_version(tool: PathTool, prints: str, fitting: bool) -> None:
    assert path.fits(tool, prints) == fitting


def test_what_would_be_built_fits_too() -> None:
    for tool in tools.DEVELOPER:
        oldest, newer = versions.FITTING[tool.name]
        assert oldest <= path.version(tool.version) < newer


def test_kubectl_fits_the_clusters_of_both_node_images() -> None:
    kubernetes = path.version(f"v{versions.KUBERNETES}")[1], path.version(node_image.STOCK_IMAGE, "kindest/node:")[1]
    (_, oldest), (_, newer) = versions.FITTING["kubectl"]
    assert [minor for minor in range(oldest, newer) if any(abs(minor - other) > 1 for other in kubernetes)] == []
