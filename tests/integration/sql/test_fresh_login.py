"""A pool whose login changes under load: in either order of file and password, without a restart."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from dreamhub.errors import ForbiddenError, InvalidInputError, UnavailableError
from dreamhub.secret_files import secret_source
from dreamhub.sql.connections import Pool
from dreamhub.sql.pool import PoolOptions, open_pool, renew_pool
from tests.integration.conftest import Database

LOGIN = "dreamhub_rotating"
PIDS = "SELECT pid FROM pg_stat_activity WHERE usename = $1 ORDER BY pid"


@dataclass
class Account:
    """A login of its own, in a file of its own."""

    database: Database
    file: Path
    admin: asyncpg.Connection
    password: str = ""

    def write(self, password: str, login: str = LOGIN) -> None:
        """As Kubernetes does it: in one step."""
        unfinished = self.file.with_suffix(".new")
        unfinished.write_text(self.database.server.url(login, password, self.database.name) + "\n")
        unfinished.rename(self.file)

    async def change(self, password: str) -> None:
        await self.admin.execute(f"ALTER ROLE {LOGIN} PASSWORD '{password}'")
        self.password = password


@pytest_asyncio.fixture
async def account(database: Database, tmp_path: Path) -> AsyncIterator[Account]:
    admin = await asyncpg.connect(database.server.superuser_url)
    account = Account(database, tmp_path / "database-url", admin)
    await admin.execute(f"CREATE ROLE {LOGIN} LOGIN IN ROLE dreamhub_operator")
    await account.change(secrets.token_hex(8))
    account.write(account.password)
    yield account
    await admin.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{LOGIN}'")
    await admin.execute(f"DROP ROLE {LOGIN}")
    await admin.close()


@pytest_asyncio.fixture
async def pool(account: Account) -> AsyncIterator[Pool]:
    pool = await open_pool(secret_source(account.file), PoolOptions(minimum=2, maximum=4))
    yield pool
    await pool.close()


@dataclass
class Load:
    """Questions without a pause, from as many askers as there are connections, some of them long."""

    pool: Pool
    answered: int = 0

    async def ask(self, seconds: float) -> None:
        while True:
            async with self.pool.acquire() as conn:
                await conn.fetchval("SELECT pg_sleep($1)", seconds)
            self.answered += 1
            await asyncio.sleep(0)

    async def go_on(self, askers: asyncio.Future[list[None]]) -> None:
        """Until many more were answered, all without a failure."""
        target = self.answered + 50
        async with asyncio.timeout(60):
            while self.answered < target:
                if askers.done():
                    askers.result()
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def load(pool: Pool) -> AsyncIterator[tuple[Load, asyncio.Future[list[None]]]]:
    load = Load(pool)
    askers = asyncio.gather(*(load.ask(seconds) for seconds in (0, 0.001, 0.02, 0.1)))
    yield load, askers
    askers.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await askers


async def gone(account: Account, before: set[int]) -> None:
    """Who was asked something long gives its connection back later; and its process ends a moment after that."""
    async with asyncio.timeout(60):
        while before & {row["pid"] for row in await account.admin.fetch(PIDS, LOGIN)}:
            await asyncio.sleep(0.05)


async def test_file_first_then_password_fails_nothing(account: Account, pool: Pool) -> None:
    async with load(pool) as (asking, askers):
        await asking.go_on(askers)
        before = {row["pid"] for row in await account.admin.fetch(PIDS, LOGIN)}
        account.write("the next one")
        await pool.expire_connections()
        await asking.go_on(askers)
        await account.change("the next one")
        await pool.expire_connections()
        await asking.go_on(askers)
        await gone(account, before)


async def test_idle_connections_are_renewed_at_once(account: Account, pool: Pool) -> None:
    before = {row["pid"] for row in await account.admin.fetch(PIDS, LOGIN)}
    await account.change("the next one")
    account.write("the next one")
    await renew_pool(pool)
    assert pool.get_idle_size() == len(before) == 2
    await gone(account, before)


async def test_password_first_goes_on_with_what_is_open(account: Account, pool: Pool) -> None:
    async with pool.acquire() as first, pool.acquire() as second:
        await account.change("the next one")
        for conn in (first, second):
            assert await conn.fetchval("SELECT 1") == 1
        with pytest.raises(UnavailableError, match=f"refuses the login {LOGIN}") as caught:
            await pool.acquire()
        assert "the next one" not in caught.value.message
        account.write("the next one")
        third = await pool.acquire()
        assert await third.fetchval("SELECT current_user") == LOGIN
        await pool.release(third)
    await pool.expire_connections()
    async with pool.acquire() as conn:
        assert await conn.fetchval("SELECT 1") == 1


async def test_a_file_that_is_gone_or_empty_keeps_the_login(account: Account, pool: Pool) -> None:
    for damage in (account.file.unlink, lambda: account.file.write_text(" \n")):
        damage()
        await pool.expire_connections()
        async with pool.acquire() as conn:
            assert await conn.fetchval("SELECT 1") == 1


async def test_a_login_that_sees_everything_is_refused_later_too(account: Account, pool: Pool) -> None:
    account.file.write_text(account.database.server.superuser_url)
    await pool.expire_connections()
    async with pool.acquire() as conn:
        assert await conn.fetchval("SELECT current_user") == LOGIN
    with pytest.raises(ForbiddenError, match="sees past row security"):
        async with await open_pool(secret_source(account.file)):
            pass


async def test_a_start_without_a_good_file_says_so(account: Account) -> None:
    account.write("wrong")
    with pytest.raises(UnavailableError, match="put its present password into the Secret"):
        async with await open_pool(secret_source(account.file)):
            pass
    account.file.unlink()
    with pytest.raises(InvalidInputError, match="is the Secret mounted"):
        async with await open_pool(secret_source(account.file)):
            pass
