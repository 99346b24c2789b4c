from datetime import UTC, datetime, timedelta

from dreamhub.domain.conditions import Condition, Status, is_true, merge_conditions

THEN = datetime(2026, 1, 1, tzinfo=UTC)
NOW = THEN + timedelta(hours=1)


def condition(kind: str, status: Status, moment: datetime = NOW, **more: str) -> Condition:
    return Condition(type=kind, status=status, reason=more.get("reason", "Because"), last_transition_time=moment)


def test_a_new_condition_begins_now() -> None:
    assert merge_conditions([], [condition("Ready", "True")])[0].last_transition_time == NOW


def test_the_time_stays_while_the_status_does() -> None:
    merged = merge_conditions([condition("Ready", "True", THEN)], [condition("Ready", "True", reason="Other")])
    assert merged[0].last_transition_time == THEN
    assert merged[0].reason == "Other"


def test_the_time_moves_when_the_status_flips() -> None:
    merged = merge_conditions([condition("Ready", "True", THEN)], [condition("Ready", "False")])
    assert merged[0].last_transition_time == NOW


def test_what_is_not_stated_disappears_and_order_is_stable() -> None:
    merged = merge_conditions([condition("Old", "True", THEN)], [condition("B", "True"), condition("A", "True")])
    assert [c.type for c in merged] == ["A", "B"]


def test_times_are_what_kubernetes_stores() -> None:
    """Sub-second parts would come back cut off and look like a change for ever."""
    moment = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
    first = condition("Ready", "True", moment)
    again = Condition.model_validate(first.model_dump(by_alias=True, mode="json"))
    assert again == first
    assert first.model_dump(by_alias=True)["lastTransitionTime"] == "2026-01-01T12:00:00Z"


def test_is_true() -> None:
    assert is_true([condition("Ready", "True")], "Ready")
    assert not is_true([condition("Ready", "Unknown")], "Ready")
    assert not is_true([], "Ready")
