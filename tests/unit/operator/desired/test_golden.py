"""What `render` prints for each case; `pytest --update-golden` writes it anew after an intended change."""

from pathlib import Path

import pytest
import yaml

from hca_operator.cli import render, to_yaml

HERE = Path(__file__).parent
CASES = sorted(path for path in (HERE / "golden").iterdir() if path.is_dir())
FROZEN_TEMPLATE = HERE / "frozen" / "pod-template.yaml"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_rendered_objects_are_the_golden_ones(case: Path, request: pytest.FixtureRequest) -> None:
    rendered = to_yaml(*render((case / "in.yaml").read_text()))
    golden = case / "out.yaml"
    if request.config.getoption("--update-golden"):
        golden.write_text(rendered)
    assert rendered == golden.read_text(), "intended? then run pytest --update-golden and review the diff"


def test_the_pod_template_of_the_minimal_object_is_frozen() -> None:
    rendered = render((HERE / "golden" / "minimal" / "in.yaml").read_text())
    template = next(child for child in rendered if child["kind"] == "Deployment")["spec"]["template"]
    assert template == yaml.safe_load(FROZEN_TEMPLATE.read_text()), (
        "this change restarts the pods of EVERY existing API when the operator is upgraded. Make it depend on a "
        f"field of the object; only if it must be, edit {FROZEN_TEMPLATE.name} by hand and say so in CHANGELOG.md"
    )


def test_rendering_does_not_depend_on_the_order_of_keys() -> None:
    text = (HERE / "golden" / "everything" / "in.yaml").read_text()
    turned = yaml.safe_dump(_reversed(yaml.safe_load(text)), sort_keys=False)
    assert turned != text
    assert render(turned) == render(text)


def _reversed(node: object) -> object:
    if isinstance(node, dict):
        return {key: _reversed(value) for key, value in reversed(node.items())}
    return [_reversed(item) for item in node] if isinstance(node, list) else node
