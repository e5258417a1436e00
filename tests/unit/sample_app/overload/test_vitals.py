import pytest

from shop.observation.metrics import Metrics
from shop.overload.vitals import Vitals
from shop.workers.heartbeats import Heartbeats
from shop.workers.watchdog import Watchdog


@pytest.mark.parametrize(
    ("lags", "standing"),
    [
        ([9.0], 0.0),  # a worker that has just started has no second behind it
        ([9.0, 9.0, 9.0], 0.0),
        ([0.6, 0.7, 0.8, 0.9], 0.6),
        ([0.6, 0.7, 0.8, 0.9, 0.01], 0.01),
        ([0.01, 0.6, 0.7, 0.8, 0.9], 0.6),
    ],
)
def test_lag_stands_when_a_whole_second_had_it(lags: list[float], standing: float) -> None:
    metrics = Metrics(None)
    vitals = Vitals(metrics, Heartbeats(None), Watchdog(60))
    for lag in lags:
        vitals.note_lag(lag)

    assert vitals.standing_lag == standing
    assert vitals.loop_lag == max(lags)
