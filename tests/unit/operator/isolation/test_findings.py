"""What the status says of a tenant's walls."""

from datetime import timedelta
from typing import Any

import pytest

from dreamhub.crd.tenant import Tenant
from dreamhub_operator.isolation.findings import Round, build_finding
from dreamhub_operator.isolation.outcome import Blocked, Inconclusive, Leaked, Outcome, Probe, tally
from tests.unit.operator.builders import NOW, tenant

INTERVAL = timedelta(hours=6)


def ended(outcome: Outcome, ago: timedelta = timedelta(0)) -> Round:
    return Round(tally([Probe("sql", "attempt", outcome)]), "dreamhub-canary", "7", NOW - ago)


def verified(ago: timedelta, failed: int = 0) -> Tenant:
    isolation: dict[str, Any] = {"checkedTime": (NOW - ago).isoformat(), "failed": failed}
    return tenant({"isolation": isolation})


@pytest.mark.parametrize(
    ("known", "done", "expected"),
    [
        (tenant(), None, ("Unknown", "NotProbed")),
        (tenant(), ended(Blocked()), ("True", "IsolationVerified")),
        (tenant(), ended(Leaked("a row")), ("False", "ProbeFailed")),
        (tenant(), ended(Inconclusive("away")), ("Unknown", "ProbesInconclusive")),
        # what was proved is not taken back by a round that proved nothing, until it is old
        (verified(timedelta(hours=7)), ended(Inconclusive("away")), None),
        (verified(timedelta(hours=13)), ended(Inconclusive("away")), ("Unknown", "ProbesInconclusive")),
        (verified(timedelta(hours=1)), None, None),
        (verified(timedelta(hours=13)), None, ("Unknown", "ProbesInconclusive")),
        (verified(timedelta(hours=13)), ended(Blocked(), timedelta(hours=13)), ("Unknown", "ProbesInconclusive")),
        # a leak is taken back by a complete round alone, however old it is
        (verified(timedelta(hours=99), failed=1), ended(Inconclusive("away")), None),
        (verified(timedelta(hours=99), failed=1), None, None),
        (verified(timedelta(hours=1), failed=1), ended(Blocked()), ("True", "IsolationVerified")),
    ],
)
def test_condition(known: Tenant, done: Round | None, expected: tuple[str, str] | None) -> None:
    found = build_finding(known, done, INTERVAL, NOW)
    assert (None if found is None else (found.status, found.reason.value)) == expected


def test_failure_names_the_first_and_the_next_step() -> None:
    found = build_finding(tenant(), ended(Leaked("a row came")), INTERVAL, NOW)
    assert found is not None
    assert "1 of 1 attempts got through" in found.message
    assert "sql: attempt: a row came" in found.message
    assert "kubectl annotate tenant acme dreamhub.dev/verify-isolation" in found.message


def test_status_keeps_time_count_first_failure_and_request() -> None:
    status = ended(Leaked("a row came")).isolation
    assert (status.peer, status.probes, status.failed, status.request) == ("dreamhub-canary", 1, 1, "7")
    assert status.first_failure == "sql: attempt: a row came"
    assert status.checked_time == NOW
    assert ended(Blocked()).isolation.first_failure == ""
