"""Who has a document in hand, and for how long it keeps others off."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from dreamhub.domain.progress import DocumentError
from dreamhub.errors import FencedError, UnavailableError
from dreamhub.sql.connections import Connection
from dreamhub.sql.documents import register_upload
from dreamhub.sql.ingest import (
    Claim,
    NewRun,
    RunAttempt,
    activate_version,
    fail_version,
    release_version,
    start_run,
    touch_run,
)
from dreamhub.sql.landing import LEASE_SECONDS
from dreamhub.sql.work_items import NewItem, enqueue, list_free_items
from tests.integration.conftest import TenantLogin
from tests.integration.sql.support import CLAIM, File, claim, connected, store

BOOK = File("book.md", tuple(f"chapter {number} of the book" for number in range(6)))
ERROR = DocumentError(document="doc_x", error_class="Permanent", reason="EncryptedPDF", message="locked")


@asynccontextmanager
async def two_runs(tenant: TenantLogin) -> AsyncIterator[tuple[Connection, str, Claim, Claim]]:
    """A version, and the claims of two runs on it, whose workers live until a test says otherwise."""
    async with connected(tenant.url) as conn:
        version = (await register_upload(conn, tenant.keys, BOOK.upload())).version_id
        starts = [await start_run(conn, NewRun(uid, uid, "1.0", "pod", 1)) for uid in ("run-1", "run-2")]
        claims = [replace(CLAIM, run=start.run) for start in starts]
        await conn.execute("UPDATE run_workers SET updated_at = now() + interval '1 hour'")  # however slow this is
        yield conn, version, claims[0], claims[1]


async def test_a_version_is_held_against_another_run(tenant: TenantLogin) -> None:
    async with two_runs(tenant) as (conn, version, mine, theirs):
        held = await claim(conn, tenant.keys, version, mine)
        for _ in range(2):
            with pytest.raises(UnavailableError) as refused:
                await claim(conn, tenant.keys, version, theirs)
            assert refused.value.code == "DocumentHeld"
        await store(conn, tenant.keys, held, BOOK.chunks())
        await activate_version(conn, held, pages=1, chunks=6)
        assert (await claim(conn, tenant.keys, version, theirs)).already_active
        forced = await claim(conn, tenant.keys, version, replace(theirs, force=True))
        assert forced.fence == held.fence + 1


async def test_a_failure_lets_the_other_run_have_it(tenant: TenantLogin) -> None:
    async with two_runs(tenant) as (conn, version, mine, theirs):
        await fail_version(conn, await claim(conn, tenant.keys, version, mine), ERROR)
        assert (await claim(conn, tenant.keys, version, theirs)).next_ordinal == 0


async def test_a_released_version_goes_on_where_it_was(tenant: TenantLogin) -> None:
    async with two_runs(tenant) as (conn, version, mine, theirs):
        held = await claim(conn, tenant.keys, version, mine)
        await store(conn, tenant.keys, held, BOOK.chunks()[:2])
        await release_version(conn, held)
        taken = await claim(conn, tenant.keys, version, theirs)
        assert taken.next_ordinal == 2
        await release_version(conn, held)  # too late: it is the other's now
        with pytest.raises(UnavailableError):
            await claim(conn, tenant.keys, version, mine)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE run_workers SET updated_at = now() - interval '13 seconds' WHERE uid = 'run-1'",
        "UPDATE ingest_runs SET finished_at = now() WHERE uid = 'run-1'",
        "UPDATE run_workers SET attempt = attempt + 1 WHERE uid = 'run-1'",
    ],
    ids=["silent", "finished", "overtaken"],
)
async def test_only_a_living_attempt_holds_anything(tenant: TenantLogin, change: str) -> None:
    async with two_runs(tenant) as (conn, version, mine, theirs):
        held = await claim(conn, tenant.keys, version, mine)
        await conn.execute(change)
        await claim(conn, tenant.keys, version, theirs)
        with pytest.raises(FencedError):
            await store(conn, tenant.keys, held, BOOK.chunks())


async def test_a_heartbeat_holds_what_a_run_has(tenant: TenantLogin) -> None:
    async with two_runs(tenant) as (conn, version, mine, theirs):
        await claim(conn, tenant.keys, version, mine)
        await conn.execute("UPDATE run_workers SET updated_at = now() - interval '13 seconds'")
        await touch_run(conn, RunAttempt("run-1", 1))
        with pytest.raises(UnavailableError):
            await claim(conn, tenant.keys, version, theirs)
        with pytest.raises(FencedError):
            await touch_run(conn, RunAttempt("run-1", 2))


async def test_workers_of_one_run_hold_against_each_other(tenant: TenantLogin) -> None:
    async with two_runs(tenant) as (conn, version, mine, _):
        sibling = replace(mine, run=(await start_run(conn, NewRun("run-1", "run-1", "1.0", "pod", 1, worker=1))).run)
        await claim(conn, tenant.keys, version, mine)
        with pytest.raises(UnavailableError):
            await claim(conn, tenant.keys, version, sibling)
        await conn.execute("UPDATE run_workers SET updated_at = now() - interval '13 seconds' WHERE worker = 0")
        await claim(conn, tenant.keys, version, sibling)


async def test_a_short_silence_loses_a_version_to_the_own_run_alone(tenant: TenantLogin) -> None:
    async with two_runs(tenant) as (conn, version, mine, theirs):
        sibling = replace(mine, run=(await start_run(conn, NewRun("run-1", "run-1", "1.0", "pod", 1, worker=1))).run)
        held = await claim(conn, tenant.keys, version, mine)
        await conn.execute("UPDATE run_workers SET updated_at = now() - interval '5 seconds' WHERE worker = 0")
        with pytest.raises(UnavailableError):
            await claim(conn, tenant.keys, version, theirs)
        await claim(conn, tenant.keys, version, sibling)
        with pytest.raises(FencedError):
            await store(conn, tenant.keys, held, BOOK.chunks())


async def test_what_a_living_worker_of_the_run_is_at_is_no_free_item(tenant: TenantLogin) -> None:
    async with two_runs(tenant) as (conn, version, mine, theirs):
        sibling = (await start_run(conn, NewRun("run-1", "run-1", "1.0", "pod", 1, worker=1))).run

        async def find(run: RunAttempt | None) -> list[str]:
            assert run is not None
            return [item.version_id for item in await list_free_items(conn, run, LEASE_SECONDS)]

        for claim_of in (mine, theirs):
            assert claim_of.run is not None
            await enqueue(conn, claim_of.run, [NewItem(version, "doc_x"), NewItem("ver_other", "doc_y")])
        held = await claim(conn, tenant.keys, version, mine)
        assert await find(mine.run) == await find(theirs.run) == [version, "ver_other"], "their own, and another run's"
        assert await find(sibling) == ["ver_other"]
        await conn.execute("UPDATE run_workers SET updated_at = now() - interval '5 seconds' WHERE worker = 0")
        assert await find(sibling) == [version, "ver_other"], "it was silent"
        await touch_run(conn, RunAttempt("run-1", 1))
        assert await find(sibling) == ["ver_other"]
        await release_version(conn, held)
        assert await find(sibling) == [version, "ver_other"]
        await claim(conn, tenant.keys, version, mine)
        await start_run(conn, NewRun("run-1", "run-1", "1.0", "pod", 1))
        assert await find(sibling) == [version, "ver_other"], "a later attempt runs, which has claimed nothing"


async def test_a_worker_of_an_earlier_build_holds_by_its_run(tenant: TenantLogin) -> None:
    async with two_runs(tenant) as (conn, version, mine, theirs):
        await claim(conn, tenant.keys, version, mine)
        await conn.execute("UPDATE document_versions SET holder_worker = NULL; DELETE FROM run_workers")
        other = replace(theirs, run=(await start_run(conn, NewRun("run-2", "run-2", "1.0", "pod", 1))).run)
        with pytest.raises(UnavailableError):
            await claim(conn, tenant.keys, version, other)
        await conn.execute("UPDATE ingest_runs SET updated_at = now() - interval '13 seconds' WHERE uid = 'run-1'")
        await claim(conn, tenant.keys, version, other)


async def test_an_overtaken_attempt_claims_nothing(tenant: TenantLogin) -> None:
    async with two_runs(tenant) as (conn, version, mine, _):
        await start_run(conn, NewRun("run-1", "run-1", "1.0", "pod", 1))
        with pytest.raises(FencedError, match="overtaken"):
            await claim(conn, tenant.keys, version, mine)


async def test_runs_that_put_each_others_documents_off_do_not_lock_up(tenant: TenantLogin) -> None:
    """Each has begun one document, died, and comes back to the other's first."""
    async with two_runs(tenant) as (conn, one, mine, theirs):
        two = (await register_upload(conn, tenant.keys, File("two.md", ("words",)).upload())).version_id
        await claim(conn, tenant.keys, one, mine)
        await claim(conn, tenant.keys, two, theirs)
        starts = [await start_run(conn, NewRun(uid, uid, "1.0", "pod", 1)) for uid in ("run-1", "run-2")]
        again = [replace(CLAIM, run=start.run) for start in starts]
        await claim(conn, tenant.keys, two, again[0])
        await claim(conn, tenant.keys, one, again[1])
