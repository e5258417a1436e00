from hca_operator.rollouts import RolloutGate


def test_no_more_enter_than_there_are_places_until_one_leaves() -> None:
    gate = RolloutGate(2)
    assert [gate.enter(name) for name in ("a", "b", "c", "a")] == [True, True, False, True]
    gate.leave("b")
    gate.leave("never entered")
    assert gate.enter("c")


def test_without_places_nobody_enters() -> None:
    assert not RolloutGate(0).enter("a")
