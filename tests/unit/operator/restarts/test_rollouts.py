from hca_operator.restarts.rollout_gate import RolloutGate


def test_no_more_enter_than_there_are_places_until_one_leaves() -> None:
    gate = RolloutGate(2)
    assert [gate.enter(name) for name in ("a", "b", "c", "a")] == [True, True, False, True]
    gate.leave("b")
    gate.leave("never entered")
    assert gate.enter("c")


def test_who_has_waited_longest_is_told_of_a_place_that_becomes_free() -> None:
    told: list[str] = []
    gate = RolloutGate(1, on_free=told.append)
    assert [gate.enter(name) for name in ("a", "b", "c", "d", "b")] == [True, False, False, False, False]
    gate.leave("never entered")
    gate.leave("b")
    assert told == [], "nobody has given a place back"
    gate.leave("a")
    assert told == ["c"]
    assert gate.enter("c")
    gate.leave("c")
    assert told == ["c", "d"]
    gate.leave("d")
    assert told == ["c", "d"]


def test_without_places_nobody_enters() -> None:
    assert not RolloutGate(0).enter("a")
