import re
from pathlib import Path

import shop

APP = Path(shop.__file__).parent
README = (APP.parent / "README.md").read_text()
TESTS = Path(__file__).parents[2]
TABLE = README.split("| technique |")[1].split("\n\n")[0]


def test_every_module_and_test_of_the_map_exists_and_every_module_is_in_it() -> None:
    rows = [row.split("|") for row in TABLE.splitlines()[2:]]
    modules = {name for row in rows for name in re.findall(r"`([\w.]+)`", row[2])} - {"GRANIAN_WORKERS"}
    tests = {name for row in rows for name in re.findall(r"`(\w+)`", row[4])}

    # What holds the parts together, and no technique of its own.
    glue = {"__main__", "dependencies", "domain.schema", "data.sqlite", "routes.carts", "routes.operations"}
    files = {".".join(path.relative_to(APP).with_suffix("").parts) for path in APP.rglob("*.py")}
    assert modules | glue == {name for name in files if not name.endswith("__init__")}
    assert not modules & glue
    assert tests <= {
        path.stem for tier in ("unit", "integration") for path in (TESTS / tier / "sample_app").rglob("*.py")
    }


def test_every_variable_that_is_read_is_documented() -> None:
    read = set(re.findall(r'read\("(\w+)"', (APP / "configuration" / "settings.py").read_text()))
    documented = set(re.findall(r"`((?:SHOP|GRANIAN|PROMETHEUS|OTEL)_\w+)`", README.split("## Settings")[1]))

    assert len(read) > 20
    assert read == documented - {"OTEL_"}
