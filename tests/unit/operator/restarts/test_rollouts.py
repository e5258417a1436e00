from hca_operator.restarts.rollout_gate import RolloutGate


def test_no_more_enter_than_there_are_places_until_one_leaves() -> None:
    gate = RolloutGate(2)
    assert [gate.enter(name) for name in ("a", "b", "c", "a")] == [True, True, False, True]
    gate.leave("b")
    gate.leave("never entered")
    assert gate.enter("c")


def test_a_place_that_becomes_free_goes_to_the_key_that_has_waited_longest() -> None:
    reported: list[str] = []
    gate = RolloutGate(1, on_free=reported.append)
    assert [gate.enter(name) for name in ("a", "b", "c", "d", "b")] == [True, False, False, False, False]
    gate.leave("never entered")
    gate.leave("b")
    assert reported == [], "no place was given back"
    gate.leave("a")
    assert reported == ["c"]
    assert gate.enter("c")
    gate.leave("c")
    assert reported == ["c", "d"]
    gate.leave("d")
    assert reported == ["c", "d"]


def test_without_places_no_key_enters() -> None:
    assert not RolloutGate(0).enter("a")
