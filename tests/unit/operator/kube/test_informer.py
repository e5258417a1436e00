"""The pauses of a watch that fails."""

from itertools import islice

from hca_operator.kube.informer import EndlessBackoff


def test_watches_are_tried_for_ever_and_ever_more_slowly_up_to_half_a_minute() -> None:
    waits = list(islice(EndlessBackoff(), 200))
    assert 0.8 <= waits[0] <= 1.2
    assert all(24 <= wait <= 36 for wait in waits[10:])
    assert len({round(wait, 6) for wait in waits[10:]}) > 100, "many operators must not come back at once"
