"""The whole way, from an original to chunks that a search finds."""

from pathlib import Path

from redis.asyncio import Redis

from dreamhub.sql.documents import fetch_document, list_chunks
from dreamhub.storage.progress import Snapshot, read_since
from tests.integration.worker.support import Rig

SAMPLES = Path(__file__).parents[3] / "manifests" / "samples" / "documents"


async def test_every_sample_becomes_searchable(rig: Rig, redis_admin: Redis) -> None:
    items = [await rig.upload(path.name, path.read_bytes()) for path in sorted(SAMPLES.iterdir())]
    mount = rig.mount(*items)

    assert await rig.run(mount) == 0

    progress = await rig.progress(mount)
    assert (progress.state, progress.stage, progress.percent) == ("Succeeded", "Finished", 100)
    assert progress.documents.done == progress.documents.total == len(items)
    assert progress.chunks == await rig.count("SELECT count(*) FROM chunks") > 100
    assert progress.pages > 20
    assert progress.tokens > 1_000
    assert progress.timing.parse_seconds > 0
    assert progress.timing.embed_seconds > 0
    assert progress.timing.store_seconds > 0
    published = await read_since(redis_admin, rig.tenant.tenant, mount.job.uid, None)
    assert isinstance(published, Snapshot)
    assert published.progress == progress


async def test_a_chunk_of_a_pdf_names_page_and_section(rig: Rig) -> None:
    item = await rig.upload("employee-handbook.pdf", (SAMPLES / "employee-handbook.pdf").read_bytes())
    await rig.ingest(item)

    async with rig.pool.acquire() as conn:
        document = await fetch_document(conn, rig.tenant.keys, item.document_id)
        chunks = (await list_chunks(conn, rig.tenant.keys, item.document_id, limit=100)).items
    assert document.active_version_id == item.version_id
    assert document.latest.pages == 11
    assert document.latest.chunks == len(chunks)
    assert [chunk.ordinal for chunk in chunks] == list(range(len(chunks)))
    assert {chunk.title for chunk in chunks} == {"Acme Employee Handbook"}
    [found] = [chunk for chunk in chunks if chunk.heading_path[-1:] == ("1.1 What Acme does",)]
    assert found.heading_path == ("1 Who we are", "1.1 What Acme does")
    assert found.page == 2
    assert found.text.startswith("Acme Instruments builds probes")


async def test_an_inline_text_becomes_a_document_with_an_original(rig: Rig) -> None:
    text = rig.text("note.md", "# Gate code\n\nThe gate code is 4711.")

    progress = await rig.ingest(text, tags=("notes",))

    assert progress.documents.done == 1
    assert rig.objects.objects[text.version_id] == text.text.encode()
    async with rig.pool.acquire() as conn:
        document_id = await conn.fetchval("SELECT id FROM documents")
        document = await fetch_document(conn, rig.tenant.keys, document_id)
    assert (document.name, document.source, document.tags) == ("note.md", "inline", ("notes",))
    assert document.media_type == "text/markdown"
    assert document.active_version_id == text.version_id


async def test_the_same_inline_text_again_is_the_same_document(rig: Rig) -> None:
    first = rig.text("note.md", "The gate code is 4711.")
    await rig.ingest(first)
    again = rig.text("note.md", "The gate code is 4711.")

    progress = await rig.ingest(again)

    assert progress.documents.skipped == 1
    assert await rig.count("SELECT count(*) FROM document_versions") == 1
    loose = await rig.pool.fetch("SELECT version_id, doomed, duplicate_of FROM object_outbox")
    assert [tuple(row) for row in loose] == [(again.version_id, True, first.version_id)], "a sweeper clears it away"


async def test_force_replaces_the_chunks(rig: Rig) -> None:
    item = await rig.upload("a.txt", b"Thirty days of holiday. " * 300)
    await rig.ingest(item)
    before = await rig.count("SELECT count(*) FROM chunks")
    [old] = await rig.pool.fetch("SELECT DISTINCT landing FROM chunks")

    progress = await rig.ingest(item, force=True)

    assert progress.documents.skipped == 0
    assert await rig.count("SELECT count(*) FROM chunks") == before
    [new] = await rig.pool.fetch("SELECT DISTINCT landing FROM chunks")
    assert new != old


async def test_one_bad_document_leaves_the_others_searchable(rig: Rig) -> None:
    good = await rig.upload("good.txt", b"Thirty days of holiday.")
    bad = await rig.upload("bad.pdf", b"%PDF-1.7 and nothing more")
    mount = rig.mount(bad, good)

    assert await rig.run(mount) == 0

    progress = await rig.progress(mount)
    assert progress.state == "Failed"
    assert (progress.documents.done, progress.documents.failed) == (1, 1)
    [error] = progress.errors
    assert (error.document, error.error_class, error.reason) == (bad.document_id, "Permanent", "CorruptPDF")
    async with rig.pool.acquire() as conn:
        assert (await fetch_document(conn, rig.tenant.keys, good.document_id)).active_version_id == good.version_id
        failed = await fetch_document(conn, rig.tenant.keys, bad.document_id)
    assert (failed.latest.state, failed.latest.error_reason) == ("failed", "CorruptPDF")


async def test_an_original_that_was_replaced_is_refused(rig: Rig) -> None:
    """As by a link that was signed before the version stood: of the same size, so that nothing else tells."""
    item = await rig.upload("a.txt", b"The code is 4711.")
    rig.objects.objects[item.version_id] = b"The code is 1174."
    assert [error.reason for error in (await rig.ingest(item)).errors] == ["OriginalReplaced"]
    assert await rig.count("SELECT count(*) FROM chunks") == 0
    rig.objects.objects[item.version_id] = b"The code is 4711."
    assert (await rig.ingest(item)).documents.done == 1
