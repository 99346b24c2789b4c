"""Claims, checkpoints and visibility: what holds when processes die or meet."""

import asyncio
from dataclasses import replace

import pytest

from dreamhub.domain.progress import DocumentError
from dreamhub.domain.terms import TermIndex
from dreamhub.errors import BugError, ConflictError, FencedError, NotFoundError
from dreamhub.sql.connections import Connection, Pool
from dreamhub.sql.documents import delete_document, fetch_document, list_chunks, register_upload
from dreamhub.sql.ingest import (
    ClaimedVersion,
    activate_version,
    ensure_generation,
    fail_version,
)
from dreamhub.sql.search import SearchQuery, fetch_index_state, search
from tests.integration.conftest import TenantLogin
from tests.integration.sql.support import CLAIM, SPACE, File, claim, connected, embed, ingest, store

BOOK = File("book.md", tuple(f"chapter {number} of the book" for number in range(6)))
ERROR = DocumentError(document="doc_x", error_class="Permanent", reason="EncryptedPDF", message="locked")


async def count_found(conn: Connection, login: TenantLogin) -> int:
    query = SearchQuery(embed("q"), TermIndex(login.keys).query("chapter book"), lexical_weight=0.5, limit=50)
    return len(await search(conn, login.keys, query))


async def test_older_holder_is_fenced_and_nothing_is_stored_twice(tenant: TenantLogin, tenant_pool: Pool) -> None:
    async with tenant_pool.acquire() as older, tenant_pool.acquire() as newer:
        outcome = await register_upload(older, tenant.keys, BOOK.upload())
        first = await claim(older, tenant.keys, outcome.version_id)
        await store(older, tenant.keys, first, BOOK.chunks()[:2])
        second = await claim(newer, tenant.keys, outcome.version_id, replace(CLAIM, holder="pod-2"))
        assert (second.next_ordinal, second.fence > first.fence) == (2, True)
        with pytest.raises(FencedError):
            await store(older, tenant.keys, first, BOOK.chunks()[2:4])
        await store(newer, tenant.keys, second, BOOK.chunks()[2:])
        for attempt in (
            activate_version(older, first, pages=1, chunks=6),
            fail_version(older, first, ERROR),
        ):
            with pytest.raises(FencedError):
                await attempt
        await activate_version(newer, second, pages=1, chunks=6)
        with pytest.raises(FencedError):
            await activate_version(older, first, pages=1, chunks=6)
        page = await list_chunks(newer, tenant.keys, outcome.document_id)
        assert [chunk.text for chunk in page.items] == list(BOOK.texts)
        assert await newer.fetchval("SELECT count(*) FROM chunks") == 6


async def test_takeover_waits_for_the_batch_under_way(tenant: TenantLogin, tenant_pool: Pool) -> None:
    """A batch and a claim meet: whichever the row lock lets first, no chunk is doubled or lost."""
    async with tenant_pool.acquire() as older, tenant_pool.acquire() as newer:
        outcome = await register_upload(older, tenant.keys, BOOK.upload())
        first = await claim(older, tenant.keys, outcome.version_id)
        async with older.transaction():
            await store(older, tenant.keys, first, BOOK.chunks()[:3])
            taking = asyncio.create_task(claim(newer, tenant.keys, outcome.version_id))
            await _until_blocked(older)
            assert not taking.done()
        second = await taking
        assert second.next_ordinal == 3


async def _until_blocked(conn: Connection) -> None:
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    async with asyncio.timeout(60):
        while await conn.fetchval(waiting) == 0:
            await asyncio.sleep(0.01)


async def test_killed_between_batches_resumes_at_the_checkpoint(tenant: TenantLogin) -> None:
    async with connected(tenant.url) as conn:
        outcome = await register_upload(conn, tenant.keys, BOOK.upload())
        first = await claim(conn, tenant.keys, outcome.version_id)
        await store(conn, tenant.keys, first, BOOK.chunks()[:2])
        transaction = conn.transaction()
        await transaction.start()
        await store(conn, tenant.keys, first, BOOK.chunks()[2:4])
        conn.terminate()
    async with connected(tenant.url) as conn:
        second = await claim(conn, tenant.keys, outcome.version_id)
        assert second.next_ordinal == 2
        assert second.landing == first.landing
        await store(conn, tenant.keys, second, BOOK.chunks(2))
        await activate_version(conn, second, pages=1, chunks=6)
        assert await count_found(conn, tenant) == 6


async def test_a_batch_must_start_at_the_checkpoint(tenant: TenantLogin, tenant_connection: Connection) -> None:
    outcome = await register_upload(tenant_connection, tenant.keys, BOOK.upload())
    claimed = await claim(tenant_connection, tenant.keys, outcome.version_id)
    await store(tenant_connection, tenant.keys, claimed, BOOK.chunks()[:2])
    for start, end in ((0, 2), (1, 3), (3, 5)):
        with pytest.raises(BugError, match="checkpoint stands at 2"):
            await store(tenant_connection, tenant.keys, claimed, BOOK.chunks()[start:end])
    with pytest.raises(BugError, match="6 chunks were to be shown, 2 are stored"):
        await activate_version(tenant_connection, claimed, pages=1, chunks=6)


async def test_readers_see_all_or_nothing(tenant: TenantLogin, tenant_pool: Pool) -> None:
    """A reader that never stops asking counts none or all of the chunks, and after the switch never the old ones."""
    seen: set[int] = set()
    stop = asyncio.Event()

    async def read() -> None:
        async with tenant_pool.acquire() as conn:
            while not stop.is_set():
                seen.add(await count_found(conn, tenant))

    async def until_seen(count: int) -> None:
        async with asyncio.timeout(120):
            while count not in seen:
                await asyncio.sleep(0.01)

    async with tenant_pool.acquire() as conn, asyncio.TaskGroup() as group:
        outcome = await register_upload(conn, tenant.keys, BOOK.upload())
        claimed = await claim(conn, tenant.keys, outcome.version_id)
        group.create_task(read())
        await until_seen(0)
        for chunk in BOOK.chunks():
            await store(conn, tenant.keys, claimed, [chunk])
            assert await count_found(conn, tenant) == 0
            assert (await list_chunks(conn, tenant.keys, outcome.document_id)).items == ()
        await activate_version(conn, claimed, pages=1, chunks=6)
        await until_seen(6)
        shorter = await ingest(conn, tenant.keys, File(BOOK.name, ("chapter book", "book chapter")))
        assert shorter.document_id == outcome.document_id
        await until_seen(2)
        stop.set()
    assert seen == {0, 2, 6}


async def test_already_active_is_skipped_unless_forced(tenant: TenantLogin, tenant_connection: Connection) -> None:
    outcome = await ingest(tenant_connection, tenant.keys, BOOK)
    again = await claim(tenant_connection, tenant.keys, outcome.version_id)
    assert again.already_active
    forced = await claim(tenant_connection, tenant.keys, outcome.version_id, replace(CLAIM, force=True))
    assert (forced.already_active, forced.next_ordinal) == (False, 0)
    await store(tenant_connection, tenant.keys, forced, BOOK.chunks()[:3])
    assert await count_found(tenant_connection, tenant) == 6, "the old chunks stay until the new ones are complete"
    await activate_version(tenant_connection, forced, pages=1, chunks=3)
    assert await count_found(tenant_connection, tenant) == 3
    state = await fetch_index_state(tenant_connection)
    assert state is not None
    assert state.chunks == 3
    assert await _counted_terms(tenant_connection) == await _real_terms(tenant_connection)


async def _counted_terms(conn: Connection) -> dict[int, int]:
    return {row["term"]: row["chunks"] for row in await conn.fetch("SELECT * FROM term_counts WHERE chunks <> 0")}


async def _real_terms(conn: Connection) -> dict[int, int]:
    rows = await conn.fetch("SELECT unnest(terms) AS term, count(*) FROM chunks GROUP BY 1")
    return {row["term"]: row["count"] for row in rows}


async def test_forced_failure_keeps_what_was_searchable(tenant: TenantLogin, tenant_connection: Connection) -> None:
    outcome = await ingest(tenant_connection, tenant.keys, BOOK)
    forced = await claim(tenant_connection, tenant.keys, outcome.version_id, replace(CLAIM, force=True))
    await store(tenant_connection, tenant.keys, forced, BOOK.chunks()[:3])
    await fail_version(tenant_connection, forced, ERROR)
    assert await count_found(tenant_connection, tenant) == 6
    assert await tenant_connection.fetchval("SELECT count(*) FROM chunks") == 6
    latest = (await fetch_document(tenant_connection, tenant.keys, outcome.document_id)).latest
    assert (latest.state, latest.error_reason) == ("active", None)


async def test_failure_is_recorded_and_mended_by_the_next_claim(
    tenant: TenantLogin, tenant_connection: Connection
) -> None:
    outcome = await register_upload(tenant_connection, tenant.keys, BOOK.upload())
    claimed = await claim(tenant_connection, tenant.keys, outcome.version_id)
    await store(tenant_connection, tenant.keys, claimed, BOOK.chunks()[:3])
    await fail_version(tenant_connection, claimed, ERROR)
    latest = (await fetch_document(tenant_connection, tenant.keys, outcome.document_id)).latest
    assert (latest.state, latest.error_class, latest.error_reason) == ("failed", "Permanent", "EncryptedPDF")
    assert await tenant_connection.fetchval("SELECT count(*) FROM chunks") == 0
    again = await claim(tenant_connection, tenant.keys, outcome.version_id)
    assert again.next_ordinal == 0
    await store(tenant_connection, tenant.keys, again, BOOK.chunks())
    await activate_version(tenant_connection, again, pages=1, chunks=6)
    latest = (await fetch_document(tenant_connection, tenant.keys, outcome.document_id)).latest
    assert (latest.state, latest.error_reason, latest.chunks) == ("active", None, 6)


async def test_another_build_starts_over(tenant: TenantLogin, tenant_connection: Connection) -> None:
    outcome = await register_upload(tenant_connection, tenant.keys, BOOK.upload())
    claimed = await claim(tenant_connection, tenant.keys, outcome.version_id)
    await store(tenant_connection, tenant.keys, claimed, BOOK.chunks()[:3])
    other = await claim(tenant_connection, tenant.keys, outcome.version_id, replace(CLAIM, build="2.0"))
    assert other.next_ordinal == 0
    assert await tenant_connection.fetchval("SELECT count(*) FROM chunks") == 0


async def test_older_version_never_replaces_a_newer(tenant: TenantLogin, tenant_connection: Connection) -> None:
    first = await register_upload(tenant_connection, tenant.keys, BOOK.upload())
    slow = await claim(tenant_connection, tenant.keys, first.version_id)
    await store(tenant_connection, tenant.keys, slow, BOOK.chunks())
    newer = await ingest(tenant_connection, tenant.keys, File(BOOK.name, ("chapter book",)))
    with pytest.raises(ConflictError) as caught:
        await activate_version(tenant_connection, slow, pages=1, chunks=6)
    assert caught.value.code == "Superseded"
    with pytest.raises(ConflictError):
        await claim(tenant_connection, tenant.keys, first.version_id)
    document = await fetch_document(tenant_connection, tenant.keys, first.document_id)
    assert document.active_version_id == newer.version_id
    assert await count_found(tenant_connection, tenant) == 1


async def test_deletion_fences_the_worker(tenant: TenantLogin, tenant_connection: Connection) -> None:
    outcome = await register_upload(tenant_connection, tenant.keys, BOOK.upload())
    claimed = await claim(tenant_connection, tenant.keys, outcome.version_id)
    await store(tenant_connection, tenant.keys, claimed, BOOK.chunks()[:3])
    await delete_document(tenant_connection, outcome.document_id)
    with pytest.raises(FencedError):
        await store(tenant_connection, tenant.keys, claimed, BOOK.chunks(3))
    with pytest.raises(FencedError):
        await activate_version(tenant_connection, claimed, pages=1, chunks=3)
    with pytest.raises(NotFoundError):
        await claim(tenant_connection, tenant.keys, outcome.version_id)
    assert await tenant_connection.fetchval("SELECT count(*) FROM chunks") == 0


async def test_deletion_and_activation_that_meet_do_not_deadlock(tenant: TenantLogin, tenant_pool: Pool) -> None:
    async with tenant_pool.acquire() as worker, tenant_pool.acquire() as api:
        for _ in range(10):
            outcome = await register_upload(worker, tenant.keys, BOOK.upload())
            claimed = await claim(worker, tenant.keys, outcome.version_id)
            await store(worker, tenant.keys, claimed, BOOK.chunks())
            results = await asyncio.gather(
                activate_version(worker, claimed, pages=1, chunks=6),
                delete_document(api, outcome.document_id),
                return_exceptions=True,
            )
            assert isinstance(results[1], tuple)
            assert results[0] is None or isinstance(results[0], FencedError)
            assert await worker.fetchval("SELECT count(*) FROM chunks") == 0
            assert await _counted_terms(worker) == {}


async def test_concurrent_activations_count_every_term(tenant: TenantLogin, tenant_pool: Pool) -> None:
    """Four activations that meet update the same 500 counters: in one order, so none waits for ever."""
    texts = tuple(" ".join(f"word{number}" for number in range(at, at + 500)) for at in range(4))

    async def land(number: int) -> ClaimedVersion:
        async with tenant_pool.acquire() as conn:
            file = File(f"{number}.md", (*texts, f"own{number}"))
            outcome = await register_upload(conn, tenant.keys, file.upload())
            claimed = await claim(conn, tenant.keys, outcome.version_id)
            await store(conn, tenant.keys, claimed, file.chunks())
            return claimed

    async def show(claimed: ClaimedVersion) -> None:
        async with tenant_pool.acquire() as conn:
            await activate_version(conn, claimed, pages=1, chunks=5)

    await asyncio.gather(*(show(claimed) for claimed in [await land(number) for number in range(12)]))
    async with tenant_pool.acquire() as conn:
        assert await _counted_terms(conn) == await _real_terms(conn)
        state = await fetch_index_state(conn)
    assert state is not None
    assert state.chunks == 60


async def test_model_changes_only_on_an_empty_index(tenant: TenantLogin, tenant_connection: Connection) -> None:
    assert await ensure_generation(tenant_connection, SPACE) == 1
    other = replace(SPACE, model="test/other", dimensions=16)
    assert await ensure_generation(tenant_connection, other) == 2
    assert await ensure_generation(tenant_connection, replace(other, chunker="lines-v2")) == 2
    assert await ensure_generation(tenant_connection, SPACE) == 3
    await ingest(tenant_connection, tenant.keys, BOOK)
    with pytest.raises(ConflictError) as caught:
        await ensure_generation(tenant_connection, other)
    assert caught.value.code == "EmbeddingModelChanged"
