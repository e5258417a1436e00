"""Each line of the log is one JSON object."""

import json
import logging
from collections.abc import Iterator

import kopf
import pytest

from hca_operator.controller.kopf_events import operator_settings
from hca_operator.telemetry.logs import log_json


@pytest.fixture
def as_before() -> Iterator[None]:
    """What is logged after the test, and where, is what was before."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("as_before")
def test_what_kopf_says_of_an_object_is_a_line_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    log_json("INFO")
    settings: kopf.OperatorSettings = operator_settings(clusterwide=True)
    reference = {"kind": "HighConcurrencyApi", "name": "shop"}
    extra = {"settings": settings, "k8s_skip": False, "k8s_ref": reference}
    logging.getLogger("kopf.objects").warning("it has %s", "happened", extra=extra)
    said = capsys.readouterr()
    assert said.err == ""
    (line,) = said.out.splitlines()
    found = json.loads(line)
    assert (found["message"], found["level"], found["k8s_ref"]) == ("it has happened", "WARNING", reference)
    assert "settings" not in found
