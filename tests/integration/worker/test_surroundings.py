"""The worker with the real object store, and with a model behind an endpoint."""

from typing import Any

from dreamhub import names
from dreamhub.llm.models import ModelList, ModelSettings
from dreamhub.storage.objects import ObjectStore
from tests.integration.llm.provider_server import DIMENSIONS, Mood, Provider, run_provider
from tests.integration.worker.support import Rig

LINK_SECONDS = 60

CONTENT = (
    "documents",
    "document_versions",
    "chunks",
    "term_counts",
    "index_generations",
    "token_uses",
    "quota",
    "object_outbox",
)
"""All that a tenant has, but for what tells of its runs."""


async def test_originals_come_from_and_go_to_a_real_store_by_presigned_links(
    rig: Rig, object_store: ObjectStore
) -> None:
    uploaded = await rig.upload("a.txt", b"Thirty days of holiday.")
    key = names.object_key(rig.tenant.tenant, uploaded.version_id)
    await object_store.put(key, b"Thirty days of holiday.")
    document = uploaded.model_copy(update={"url": await object_store.presign_get(key, LINK_SECONDS)})
    text = rig.text("note.md", "# Gate\n\nThe code is 4711.")
    text_key = names.object_key(rig.tenant.tenant, text.version_id)
    inline = text.model_copy(update={"put_url": await object_store.presign_put(text_key, LINK_SECONDS)})

    progress = await rig.ingest(document, inline)

    assert progress.documents.done == 2
    assert b"".join([piece async for piece in object_store.get_stream(text_key)]) == text.text.encode()
    assert rig.objects.requests == []


async def test_a_link_to_nothing_in_a_real_store(rig: Rig, object_store: ObjectStore) -> None:
    item = await rig.upload("a.txt", b"never stored")
    key = names.object_key(rig.tenant.tenant, item.version_id)
    absent = item.model_copy(update={"url": await object_store.presign_get(key, LINK_SECONDS)})
    assert [error.reason for error in (await rig.ingest(absent)).errors] == ["DocumentDeleted"]


async def test_a_link_with_a_wrong_signature_in_a_real_store(rig: Rig, object_store: ObjectStore) -> None:
    item = await rig.upload("a.txt", b"words")
    key = names.object_key(rig.tenant.tenant, item.version_id)
    await object_store.put(key, b"words")
    forged = (await object_store.presign_get(key, LINK_SECONDS))[:-4] + "0000"
    item = item.model_copy(update={"url": forged})
    assert [error.reason for error in (await rig.ingest(item)).errors] == ["LinkExpired"]


def behind(provider: Provider, budget: float = 60, **fields: Any) -> dict[str, Any]:
    entry = ModelSettings(
        name="small",
        kind="embedding",
        endpoint=provider.endpoint,
        dimensions=DIMENSIONS,
        budget_seconds=budget,
        **fields,
    )
    return {"models": ModelList(models=(entry,)), "model": "small"}


async def test_the_wait_for_a_provider_is_told_apart_from_its_work(rig: Rig) -> None:
    async with run_provider() as provider:
        provider.moods = [Mood(429, headers={"retry-after-ms": "600"})]
        progress = await rig.ingest(await rig.upload("a.txt", b"some words"), **behind(provider))
    assert progress.state == "Succeeded"
    assert progress.timing.embed_wait_seconds >= 0.6
    assert progress.tokens > 0
    assert await rig.count("SELECT dimensions FROM index_generations WHERE active") == DIMENSIONS


async def read_rows(rig: Rig) -> set[tuple[str, ...]]:
    """Where every row stands and who wrote it: an UPDATE that changes nothing shows too."""
    selects = (f"SELECT '{table}', ctid::text, xmin::text FROM {table}" for table in CONTENT)
    return {tuple(row) for row in await rig.pool.fetch(" UNION ALL ".join(selects))}


async def test_an_unchanged_corpus_again_asks_no_provider_and_writes_no_row(rig: Rig) -> None:
    corpus = {f"{number}.txt": b"Thirty days of holiday, of %d. " % number * 300 for number in range(3)}
    async with run_provider() as provider:
        items = [await rig.upload(*file) for file in corpus.items()]
        first = await rig.ingest(*items, **behind(provider))
        calls, fetched, rows = len(provider.requests), len(rig.objects.requests), await read_rows(rig)
        assert min(calls, fetched) >= len(corpus)
        assert {table for table, _, _ in rows} >= {"documents", "chunks", "term_counts", "token_uses"}

        again = await rig.ingest(*[await rig.upload(*file) for file in corpus.items()], **behind(provider))

    assert (first.documents.done, first.documents.skipped) == (3, 0)
    assert (again.documents.done, again.documents.skipped, again.tokens) == (3, 3, 0)
    assert (len(provider.requests), len(rig.objects.requests)) == (calls, fetched)
    assert await read_rows(rig) == rows


async def test_a_refused_key_fails_the_rest_of_the_job_at_once(rig: Rig) -> None:
    items = [await rig.upload(f"{n}.txt", b"words %d" % n) for n in range(3)]
    async with run_provider() as provider:
        provider.moods = [Mood(401)] * 100
        mount = rig.mount(*items, **behind(provider))
        assert await rig.run(mount) == 42
    assert {text for request in provider.requests for text in request["input"]} == {"0\nwords 0"}, (
        "the first one's alone"
    )
    progress = await rig.progress(mount)
    assert (progress.state, progress.documents.failed) == ("Failed", 3)
    assert {error.reason for error in progress.errors} == {"ProviderUnauthorized"}
    assert await rig.count("SELECT count(*) FROM chunks") == 0


async def test_a_provider_that_stays_away_is_another_attempt(rig: Rig) -> None:
    item = await rig.upload("a.txt", b"some words")
    async with run_provider() as provider:
        provider.moods = [Mood(503)] * 100
        mount = rig.mount(item, **behind(provider, budget=3))
        assert await rig.run(mount) == 75
        progress = await rig.progress(mount)
        assert progress.state == "Running"
        assert [error.error_class for error in progress.errors] == ["Transient"]
        provider.moods = []
        assert await rig.run(mount) == 0
    assert (await rig.progress(mount)).state == "Succeeded"
