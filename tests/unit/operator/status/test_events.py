from datetime import UTC, datetime

import pytest

from hca_operator.api.status import ConditionType
from hca_operator.core.names import API_VERSION, KIND, Manifest
from hca_operator.status.events import MAX_EVENT_MESSAGE, EventText, event, events_of

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ROLLED_OUT = ("True", "RolledOut")
ROLLING = ("False", "RollingOut")
PULL_FAILED = ("False", "ImagePullFailed")


def status(**conditions: tuple[str, str]) -> Manifest:
    """A status in which everything is well but for these conditions."""
    usual = dict.fromkeys(ConditionType, ("True", "Fine")) | {"Ready": ROLLED_OUT}
    return {
        "conditions": [
            {"type": str(kind), "status": state, "reason": reason, "message": f"{kind} is {reason}"}
            for kind, (state, reason) in (usual | conditions).items()
        ]
    }


def stored(reported: Manifest | None) -> Manifest:
    metadata = {"name": "shop", "namespace": "default", "uid": "u-1"}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "status": reported or {}}


@pytest.mark.parametrize(
    ("before", "after", "reported"),
    [
        (status(), status(), []),
        (None, status(Ready=ROLLING, Available=("False", "NoPodsAvailable")), []),
        (None, status(Ready=("False", "ResourceConflict")), [("Warning", "ResourceConflict")]),
        (status(Ready=ROLLING), status(), [("Normal", "RolledOut")]),
        (status(Ready=ROLLING, Available=("False", "NoPodsAvailable")), status(), [("Normal", "RolledOut")]),
        (status(Ready=ROLLING, Available=("False", "None")), status(Ready=ROLLING), [("Normal", "Fine")]),
        (
            status(),
            status(Ready=PULL_FAILED, Available=("False", "ImagePullFailed")),
            [("Warning", "ImagePullFailed"), ("Warning", "ImagePullFailed")],
        ),
        (status(), status(Ready=ROLLING), [("Normal", "RollingOut")]),
        (status(Ready=ROLLING), status(Ready=PULL_FAILED), [("Warning", "ImagePullFailed")]),
        (status(Ready=PULL_FAILED), status(Ready=PULL_FAILED), []),
        (status(), status(ScalingActive=("False", "AutoscalerFailing")), [("Warning", "AutoscalerFailing")]),
        (
            status(ScalingActive=("False", "ApiMetricsUnavailable")),
            status(ScalingActive=("False", "FallbackInForce")),
            [("Warning", "FallbackInForce")],
        ),
        (status(ScalingActive=("True", "FallbackInForce")), status(), [("Normal", "Fine")]),
        (
            status(ScalingActive=("False", "AutoscalerFailing")),
            status(ScalingActive=("False", "ApiMetricsUnavailable")),
            [],
        ),
        (status(ScalingActive=("Unknown", "AutoscalerPending")), status(), []),
        (status(), status(Stalled=("False", "NoProblem"), Reconciling=("False", "NoProblem")), []),
    ],
)
def test_what_flips_is_reported_once_and_nothing_else(
    before: Manifest | None, after: Manifest, reported: list[tuple[str, str]]
) -> None:
    events = events_of(stored(before), after, NOW, "operator-1")
    assert [(event["type"], event["reason"]) for event in events] == reported


def test_the_same_text_in_the_same_second_has_the_same_name() -> None:
    text = EventText(warning=True, reason="ImagePullFailed", message="x" * 5000)
    first, again = (event(stored(None), text, NOW, "operator-1") for _ in range(2))
    assert first["metadata"]["name"] == again["metadata"]["name"]
    assert len(first["message"]) == MAX_EVENT_MESSAGE
    other = event(stored(None), text._replace(reason="CrashLoop"), NOW, "operator-1")
    assert other["metadata"]["name"] != first["metadata"]["name"]
