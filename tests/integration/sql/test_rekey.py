"""Content comes under another data key while everybody goes on: nothing is lost, nothing is left, nobody fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from dreamhub.domain.key_ring import KeyRing
from dreamhub.domain.keys import DataKeys
from dreamhub.domain.terms import TermIndex
from dreamhub.sql.bodies import open_name, seal_name
from dreamhub.sql.connections import Connection, Pool
from dreamhub.sql.documents import delete_document, fetch_document, list_chunks, list_documents, register_upload
from dreamhub.sql.findings import Finding, record_findings
from dreamhub.sql.ingest import NewRun, RunAttempt, start_run
from dreamhub.sql.landing import activate_version
from dreamhub.sql.rekey import START, Place, begin_rekey, count_outdated, finish_rekey, rekey_batch
from dreamhub.sql.runs import list_run_documents
from dreamhub.sql.search import Hit, SearchQuery, search
from dreamhub.sql.tenants import count_sealed, fetch_rekey_run
from dreamhub_worker.context import Stop
from dreamhub_worker.rekey import rekey
from tests.integration.conftest import TenantLogin
from tests.integration.sql.support import File, claim, embed, ingest, store

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Rotated:
    """A tenant with content under key 1, and the keys of those who know of key 2."""

    old: DataKeys
    new: DataKeys
    documents: tuple[str, ...]


@pytest_asyncio.fixture
async def rotated(tenant: TenantLogin, tenant_connection: Connection) -> AsyncIterator[Rotated]:
    files = [File(f"file {number}", tuple(f"text {number} {at}" for at in range(30))) for number in range(4)]
    outcomes = [await ingest(tenant_connection, tenant.keys, file) for file in files]
    ring = KeyRing(tenant.keys, NOW).add(NOW, "").activate(NOW)
    yield Rotated(tenant.keys, ring.keys, tuple(outcome.document_id for outcome in outcomes))


def only(keys: DataKeys, name: str) -> DataKeys:
    """Without the other keys: what they have encrypted cannot be read."""
    return replace(keys, active=name, keys={name: keys.keys[name]})


async def run_pass(conn: Connection, keys: DataKeys, limit: int) -> int:
    place: Place | None = START
    rows = 0
    while place is not None:
        step = await rekey_batch(conn, keys, place, limit=limit)
        rows, place = rows + step.rows, step.place
    return rows


@pytest.mark.parametrize("limit", [1, 7, 1000])
async def test_every_row_comes_under_the_new_key_once(
    tenant: TenantLogin, tenant_connection: Connection, operator_connection: Connection, rotated: Rotated, limit: int
) -> None:
    conn, name = tenant_connection, tenant.tenant
    kept = await keep_name(conn, rotated.old)
    assert await begin_rekey(conn, "2") == 125
    assert await run_pass(conn, rotated.new, limit) == 125
    assert await run_pass(conn, rotated.new, limit) == 0
    await finish_rekey(conn, "2")
    assert await count_outdated(conn, "2") == 0
    assert (await count_sealed(operator_connection, name, "1"), await count_sealed(operator_connection, name, "2")) == (
        0,
        125,
    )
    keys = only(rotated.new, "2")
    [item] = (await list_run_documents(conn, kept.uid)).items
    assert item.name_ct is not None
    assert open_name(keys, kept.uid, item.document_id, item.name_ct) == "page"
    for document in rotated.documents:
        assert (await fetch_document(conn, keys, document)).name.startswith("file")
        assert len((await list_chunks(conn, keys, document, limit=100)).items) == 30
    hits = await find(conn, keys)
    assert {hit.text for hit in hits} == {hit.text for hit in await find(conn, rotated.new)} != set()
    run = await fetch_rekey_run(operator_connection, name, "2")
    assert run is not None
    assert (run.total, run.done, run.finished_at is not None) == (125, 125, True)


async def keep_name(conn: Connection, keys: DataKeys) -> RunAttempt:
    """A run that tells of something by its name."""
    run = (await start_run(conn, NewRun("uid", "job", "1", "pod"))).run
    sealed = seal_name(keys, run.uid, "item_1", "page")
    await record_findings(conn, run, [Finding("item_1", "ver_1", "Unread", sealed)])
    return run


async def find(conn: Connection, keys: DataKeys) -> list[Hit]:
    query = SearchQuery(embed("text 1 1"), TermIndex(keys).query("text"), 0.5, limit=5)
    return list(await search(conn, keys, query))


async def test_a_killed_run_goes_on_where_it_stood(
    tenant: TenantLogin, tenant_connection: Connection, operator_connection: Connection, rotated: Rotated
) -> None:
    await begin_rekey(tenant_connection, "2")
    step = await rekey_batch(tenant_connection, rotated.new, START, limit=3)
    with suppress(ZeroDivisionError):
        async with tenant_connection.transaction():
            assert step.place is not None
            await rekey_batch(tenant_connection, rotated.new, step.place, limit=3)
            raise ZeroDivisionError
    before = await fetch_rekey_run(operator_connection, tenant.tenant, "2")
    assert before is not None
    assert (before.total, before.done) == (124, 3), "what was rolled back does not count"
    assert await begin_rekey(tenant_connection, "2") == 121
    assert await run_pass(tenant_connection, rotated.new, 50) == 121
    after = await fetch_rekey_run(operator_connection, tenant.tenant, "2")
    assert after is not None
    assert (after.total, after.done) == (124, 124)


async def test_rows_that_somebody_holds_are_left_to_the_next_pass(
    tenant_connection: Connection, tenant_pool: Pool, rotated: Rotated
) -> None:
    await begin_rekey(tenant_connection, "2")
    async with tenant_pool.acquire() as other, other.transaction():
        await other.execute("UPDATE documents SET updated_at = now() WHERE id = $1", rotated.documents[0])
        await other.execute("DELETE FROM chunks WHERE ordinal = 5")
        async with asyncio.timeout(30):
            assert await run_pass(tenant_connection, rotated.new, 10) == 119
    assert await run_pass(tenant_connection, rotated.new, 10) == 1
    assert await count_outdated(tenant_connection, "2") == 0


async def test_two_at_once_do_the_work_once(tenant_pool: Pool, rotated: Rotated) -> None:
    async def run() -> int:
        async with tenant_pool.acquire() as conn:
            return await run_pass(conn, rotated.new, 5)

    async with tenant_pool.acquire() as conn:
        await begin_rekey(conn, "2")
    assert sum(await asyncio.gather(run(), run())) <= 124
    async with tenant_pool.acquire() as conn:
        await run_pass(conn, rotated.new, 50)
        assert await count_outdated(conn, "2") == 0


@dataclass
class Crowd:
    """Who goes on while content is brought under another key."""

    pool: Pool
    rotated: Rotated
    done: asyncio.Event

    async def upload(self) -> int:
        """New documents, further versions and deletions, under the new key."""
        number = 0
        while not self.done.is_set():
            number += 1
            async with self.pool.acquire() as conn:
                file = File(f"new {number % 3}", tuple(f"new {number} {at}" for at in range(8)))
                outcome = await ingest(conn, self.rotated.new, file)
                if number % 4 == 0:
                    await delete_document(conn, outcome.document_id)
        return number

    async def look(self) -> int:
        number = 0
        while not self.done.is_set():
            number += 1
            async with self.pool.acquire() as conn:
                await find(conn, self.rotated.new)
                await list_documents(conn, self.rotated.new)
        return number

    async def land(self) -> None:
        """A worker that began before the new key was active: it writes under the old one and reads under both."""
        keys = replace(self.rotated.new, active=self.rotated.old.active)
        async with self.pool.acquire() as conn:
            slow = File("slow", tuple(f"slow {at}" for at in range(20)))
            claimed = await claim(conn, keys, (await register_upload(conn, keys, slow.upload())).version_id)
            for at in range(20):
                await store(conn, keys, claimed, slow.chunks(at)[:1])
            await activate_version(conn, claimed, pages=1, chunks=20)


async def test_nobody_fails_while_content_is_rekeyed(tenant_pool: Pool, rotated: Rotated) -> None:
    crowd = Crowd(tenant_pool, rotated, asyncio.Event())
    others = [asyncio.create_task(crowd.upload()), asyncio.create_task(crowd.look())]
    landing = asyncio.create_task(crowd.land())
    await rekey(tenant_pool, rotated.new, Stop())
    await landing
    await rekey(tenant_pool, rotated.new, Stop())
    crowd.done.set()
    assert min(await asyncio.gather(*others)) > 0
    async with tenant_pool.acquire() as conn:
        assert await count_outdated(conn, "2") == 0
        keys = only(rotated.new, "2")
        for document in (await list_documents(conn, keys, limit=100)).items:
            await list_chunks(conn, keys, document.id, limit=100)


async def test_each_tenant_counts_its_own(
    tenant: TenantLogin, operator_connection: Connection, rotated: Rotated
) -> None:
    assert await count_sealed(operator_connection, tenant.tenant, "1") == 124
    assert await count_sealed(operator_connection, tenant.tenant, "12") == 0
    assert await fetch_rekey_run(operator_connection, tenant.tenant, "2") is None
