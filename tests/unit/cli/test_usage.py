"""`dreamhub usage`, and how refusals for the plan's sake leave."""

import json

import pytest

from tests.unit.cli.conftest import Cli
from tests.unit.client.double import Double, answer, problem

USAGE = {
    "suspended": False,
    "quotas": [
        {"quota": "documents", "used": 90, "limit": 100},
        {"quota": "chunks", "used": 4021, "limit": None},
        {"quota": "storage", "used": 9_123_456, "limit": 4_000_000},
        {"quota": "tokensPerDay", "used": 812_000, "limit": 1_000_000_000, "resetsAt": "2026-11-23T00:00:00Z"},
        {"quota": "tokensPerMonth", "used": 1_812_000, "limit": None, "resetsAt": "2026-12-01T00:00:00Z"},
        {"quota": "queuedJobs", "used": 0, "limit": 0},
        {"quota": "concurrentJobs", "used": 1, "limit": 4},
    ],
    "tokens": [{"model": "builtin/word\x1b]0;evil\x07", "purpose": "ingest", "today": 800_000, "month": 1_800_000}],
}


async def test_usage_is_a_table_with_shares(cli: Cli, double: Double) -> None:
    double.on("GET", "/api/v1/usage", answer(USAGE))
    done = await cli("usage")
    assert done.exit_code == 0
    rows = {line.split("  ")[0]: " ".join(line.split()) for line in done.stdout.splitlines()}
    assert rows["documents"].startswith("documents 90 100 ")
    assert rows["documents"].endswith(" 90 %")
    assert rows["chunks"] == "chunks 4,021 none"
    assert rows["storage"].startswith("storage 9.1 MB 4.0 MB")
    assert rows["storage"].endswith(" 228 %")
    assert rows["tokens today"].endswith(" 0 % 2026-11-23")
    assert rows["tokens this month"] == "tokens this month 1,812,000 none"
    assert rows["jobs in the queue"].endswith(" 100 %")
    assert rows["jobs running"].endswith(" 25 %")
    assert "800,000" in done.stdout
    assert "\x1b" not in done.stdout


async def test_usage_as_json(cli: Cli, double: Double) -> None:
    double.on("GET", "/api/v1/usage", answer(USAGE))
    told = json.loads((await cli("usage", "--json")).stdout)
    assert told["quotas"][3] == {
        "quota": "tokensPerDay",
        "used": 812_000,
        "limit": 1_000_000_000,
        "resetsAt": "2026-11-23T00:00:00Z",
    }


async def test_suspension_is_said(cli: Cli, double: Double) -> None:
    double.on("GET", "/api/v1/usage", answer({**USAGE, "suspended": True, "tokens": []}))
    assert "new jobs are refused" in (await cli("usage")).stderr


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [(403, "QuotaExceeded", 6), (429, "QuotaExceeded", 6), (403, "TenantSuspended", 5)],
)
async def test_the_plan_is_no_matter_of_logging_in(
    cli: Cli, double: Double, status: int, code: str, exit_code: int
) -> None:
    double.on("POST", "/api/v1/search", problem(status, code, "what and why"))
    done = await cli("search", "x")
    assert (done.exit_code, done.stderr) == (exit_code, f"error: what and why ({code})\n")
