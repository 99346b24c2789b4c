import json
from datetime import UTC, date, datetime

import asyncpg
import pytest

from dreamhub.errors import CapacityExceededError, ForbiddenError, QuotaExceededError
from dreamhub.sql.quota import Limits, QuotaUsage, find_exhausted
from dreamhub.sql.refusals import next_day, next_month, read_refusal


def raised(sqlstate: str, **detail: object) -> asyncpg.PostgresError:
    fields = {"C": sqlstate, "M": "quota exceeded", "S": "ERROR"}
    if detail:
        fields["D"] = json.dumps(detail)
    error: asyncpg.PostgresError = asyncpg.PostgresError.new(fields)
    return error


def test_what_waiting_does_not_mend() -> None:
    error = read_refusal(raised("DHQ01", quota="storage", limit=50_000, used=49_000, requested=2_000, resets_at=None))
    assert isinstance(error, CapacityExceededError)
    assert error.message == (
        "the tenant's limit of 50,000 bytes of originals would be crossed: 49,000 are used, 2,000 more were asked for; "
        "delete documents, or ask for a larger plan"
    )
    assert error.seconds_to_wait(datetime(2026, 1, 1, tzinfo=UTC)) is None


def test_what_resets() -> None:
    told = {"quota": "tokens_day", "limit": 10, "used": 9, "requested": 2, "resets_at": "2026-03-01T00:00:00Z"}
    error = read_refusal(raised("DHQ01", **told))
    assert type(error) is QuotaExceededError
    assert error.message.endswith("usage resets at 2026-03-01 00:00 UTC")
    assert error.figures.quota == "tokensPerDay"
    assert error.seconds_to_wait(datetime(2026, 2, 28, 23, 59, 30, tzinfo=UTC)) == 30
    assert error.seconds_to_wait(datetime(2026, 3, 1, 0, 0, 1, tzinfo=UTC)) == 1


def test_a_full_queue() -> None:
    error = read_refusal(raised("DHQ01", quota="queued_jobs", limit=3, used=3, requested=1, resets_at=None))
    assert type(error) is QuotaExceededError
    assert "try again when one has ended" in error.message


def test_suspension_and_what_is_not_ours() -> None:
    error = read_refusal(raised("DHS01"))
    assert isinstance(error, ForbiddenError)
    assert error.code == "TenantSuspended"
    assert read_refusal(raised("23505")) is None


@pytest.mark.parametrize(
    ("day", "tomorrow", "first"),
    [
        (date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 1)),
        (date(2026, 12, 31), date(2027, 1, 1), date(2027, 1, 1)),
        (date(2028, 2, 28), date(2028, 2, 29), date(2028, 3, 1)),
    ],
)
def test_days_and_months(day: date, tomorrow: date, first: date) -> None:
    assert (next_day(day), next_month(day)) == (tomorrow, first)


@pytest.mark.parametrize(
    ("limits", "quota"),
    [
        (Limits(), None),
        (Limits(tokens_per_day=11, tokens_per_month=101), None),
        (Limits(tokens_per_day=10), "tokensPerDay"),
        (Limits(tokens_per_day=10, tokens_per_month=100), "tokensPerMonth"),
        (Limits(tokens_per_month=0), "tokensPerMonth"),
    ],
)
def test_when_no_token_is_left(limits: Limits, quota: str | None) -> None:
    usage = QuotaUsage(
        limits,
        suspended=False,
        documents=0,
        chunks=0,
        storage_bytes=0,
        tokens_today=10,
        tokens_month=100,
        queued_jobs=0,
        today=date(2026, 5, 17),
    )
    found = find_exhausted(usage)
    assert (found.figures.quota if found else None) == quota
