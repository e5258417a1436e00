from hca_operator.telemetry import Telemetry


def told(ready: str) -> dict[str, object]:
    return {"conditions": [{"type": "Ready", "status": ready}, {"type": "Available", "status": "True"}]}


def test_objects_are_counted_by_what_their_conditions_are_now() -> None:
    telemetry = Telemetry()

    def counted(kind: str, status: str) -> float:
        return telemetry.registry.get_sample_value("hca_conditions", {"type": kind, "status": status}) or 0

    telemetry.observe_conditions("shop", told("False"))
    telemetry.observe_conditions("cart", told("False"))
    assert (counted("Ready", "False"), counted("Available", "True")) == (2, 2)
    telemetry.observe_conditions("shop", told("True"))
    telemetry.observe_conditions("shop", told("True"))
    assert (counted("Ready", "False"), counted("Ready", "True")) == (1, 1)
    telemetry.observe_conditions("cart", None)
    telemetry.observe_conditions("never-seen", None)
    assert (counted("Ready", "False"), counted("Ready", "True"), counted("Available", "True")) == (0, 1, 1)
