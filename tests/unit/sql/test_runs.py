"""Runs as a tenant's own login may have written them."""

import asyncio
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from dreamhub.domain.progress import Progress
from dreamhub.sql.runs import fetch_progress, fetch_run

SECRET = "a-name-nobody-may-read"
GOOD = Progress(tokens=7).model_dump_json(by_alias=True)


class Table:
    def __init__(self, *progresses: str | None) -> None:
        self.rows: list[dict[str, object]] = [
            {"uid": f"u{at}", "progress": text, "attempt": 1, "worker_build": "1.0", "collected": False}
            for at, text in enumerate(progresses)
        ]

    async def fetch(self, *_: object) -> list[dict[str, object]]:
        return list(self.rows)

    async def fetchrow(self, *_: object) -> dict[str, object]:
        return self.rows[0]


@pytest.mark.parametrize("text", ["", "{", "[]", f'{{"percent": "{SECRET}"}}', f'{{"{SECRET}": 1', "[" * 100_000, None])
def test_a_run_whose_progress_makes_no_sense_has_not_begun(text: str | None) -> None:
    with capture_logs() as logs:
        found = asyncio.run(fetch_progress(cast("Any", Table(GOOD, text)), "acme", ["u0", "u1"]))
    assert {uid: run.progress.tokens for uid, run in found.items()} == {"u0": 7}
    assert SECRET not in str(logs)
    assert [line["runs"] for line in logs] == [1]
    assert asyncio.run(fetch_run(cast("Any", Table(text)), "u0")) is None
