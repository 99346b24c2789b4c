"""When a tenant's walls are tried."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from dreamhub.crd.tenant import Tenant
from dreamhub_operator.isolation.schedule import (
    FAILED_SECONDS,
    FIRST_SECONDS,
    REQUEST_ANNOTATION,
    RETRY_MOST_SECONDS,
    SPREAD,
    History,
    place,
    retry_seconds,
    seconds_until_due,
)
from tests.unit.operator.builders import NOW, tenant

INTERVAL = timedelta(hours=6)


def checked(ago: timedelta, *, request: str = "", annotation: str = "", failed: int = 0) -> Tenant:
    isolation: dict[str, Any] = {"checkedTime": (NOW - ago).isoformat(), "request": request, "failed": failed}
    annotations = {REQUEST_ANNOTATION: annotation} if annotation else {}
    return tenant({"isolation": isolation}, {"annotations": annotations})


def left(found: Tenant, history: History | None = None, now: datetime = NOW) -> float:
    return seconds_until_due(found, history or History(NOW), INTERVAL, now)


def test_new_tenant_is_due_after_a_moment() -> None:
    assert left(tenant()) == FIRST_SECONDS
    assert left(tenant(), now=NOW + timedelta(seconds=FIRST_SECONDS)) == 0


def test_interval_counts_from_the_last_verification_and_is_spread() -> None:
    share = SPREAD * place("tenant-uid")
    expected = INTERVAL.total_seconds() * (1 - share) - 3600
    assert left(checked(timedelta(hours=1))) == pytest.approx(expected, abs=1)
    assert left(checked(INTERVAL)) <= 0


def test_tenants_are_spread_over_the_interval_and_stay_in_their_places() -> None:
    places = [place(f"uid-{number}") for number in range(200)]
    assert places == [place(f"uid-{number}") for number in range(200)]
    assert min(places) < 0.1
    assert max(places) > 0.9
    assert all(0 <= item < 1 for item in places)


def test_new_request_is_due_at_once_and_an_answered_one_is_not() -> None:
    assert left(checked(timedelta(minutes=1), request="1", annotation="2")) <= 0
    assert left(checked(timedelta(minutes=1), request="2", annotation="2")) > 3600


def test_failed_tenant_is_looked_at_again_soon() -> None:
    assert left(checked(timedelta(0), failed=1)) == FAILED_SECONDS


def test_round_that_proved_nothing_is_tried_again_ever_later() -> None:
    waits = [retry_seconds(tries) for tries in range(1, 20)]
    assert waits == sorted(waits)
    assert waits[-1] == RETRY_MOST_SECONDS
    history = History(NOW, tries=2, tried_at=NOW)
    assert left(tenant(), history) == retry_seconds(2)
    assert left(checked(INTERVAL * 2), history) == retry_seconds(2)


def test_request_does_not_wait_for_the_next_try() -> None:
    history = History(NOW, tries=5, tried_at=NOW, request="1")
    assert left(checked(timedelta(hours=1), request="1", annotation="2"), history) <= 0
    assert left(checked(timedelta(hours=1), request="1", annotation="1"), history) == retry_seconds(5)
