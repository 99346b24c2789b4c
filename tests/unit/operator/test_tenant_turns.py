"""Who may hold one of the few connections for a tenant's tables, and for how long nobody asks for what is locked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import asyncpg
import pytest

from dreamhub.errors import UnavailableError
from dreamhub_operator.tenant_turns import LOCKED_SECONDS, LOCKED_SECONDS_MOST, TenantTurns

if TYPE_CHECKING:
    from dreamhub.sql.connections import Pool


class CountingPool:
    lent = 0

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[None]:
        self.lent += 1
        yield


async def change(turns: TenantTurns, tenant: str, *, locked: bool) -> None:
    async with turns.change(tenant):
        if locked:
            raise asyncpg.LockNotAvailableError("canceling statement due to lock timeout")


async def test_a_tenant_whose_locks_are_never_given_is_asked_ever_more_rarely() -> None:
    pool, now = CountingPool(), 0.0
    turns = TenantTurns(cast("Pool", pool), lambda: now)
    asked_at = []
    for second in range(120):
        now, lent = float(second), pool.lent
        with pytest.raises(UnavailableError, match="tenant thief has locked its tables"):
            await change(turns, "thief", locked=True)
        if pool.lent > lent:
            asked_at.append(second)
    pauses = [later - earlier for earlier, later in pairwise(asked_at)]
    assert pauses == [2, 4, 8, 16, 30, 30]
    assert (LOCKED_SECONDS, LOCKED_SECONDS_MOST) == (2, 30)
    lent = pool.lent
    await change(turns, "other", locked=False)
    assert pool.lent == lent + 1


async def test_one_that_succeeds_forgets_what_was() -> None:
    pool, now = CountingPool(), 0.0
    turns = TenantTurns(cast("Pool", pool), lambda: now)
    with pytest.raises(UnavailableError):
        await change(turns, "acme", locked=True)
    now += LOCKED_SECONDS
    await change(turns, "acme", locked=False)
    with pytest.raises(UnavailableError):
        await change(turns, "acme", locked=True)
    now += LOCKED_SECONDS
    await change(turns, "acme", locked=False)
    assert pool.lent == 4
