"""What a worker does when the plan has no room: it waits for tokens; what never fits fails alone and leaves nothing."""

import asyncio

import pytest

from dreamhub.llm.models import ModelList, ModelSettings
from dreamhub.sql.connections import Connection
from dreamhub.sql.documents import fetch_document
from dreamhub.sql.quota import Limits, QuotaUsage, fetch_own_usage, set_limits
from dreamhub_worker.document import BATCH_CHUNKS
from tests.integration.llm.provider_server import DIMENSIONS, run_provider
from tests.integration.worker.support import Rig, eventually

NOTE = b"The gate code is 4711."


def pages(count: int) -> bytes:
    """Every paragraph is a chunk."""
    return "\n\n".join(f"Paragraph {number}: " + "the river rises. " * 50 for number in range(count)).encode()


async def usage_of(rig: Rig) -> QuotaUsage:
    async with rig.pool.acquire() as conn:
        return await fetch_own_usage(conn)


async def test_a_document_above_the_limit_of_chunks_fails_alone(rig: Rig, operator_connection: Connection) -> None:
    """In its second batch: the first was stored already, and goes."""
    await set_limits(operator_connection, rig.tenant.tenant, Limits(chunks=BATCH_CHUNKS + 10), suspended=False)
    small, large = await rig.upload("small.md", NOTE), await rig.upload("large.md", pages(BATCH_CHUNKS + 50))
    later = await rig.upload("later.md", b"Another short note.")

    progress = await rig.ingest(small, large, later)

    assert (progress.documents.done, progress.documents.failed) == (2, 1)
    [error] = progress.errors
    assert (error.document, error.error_class, error.reason) == (large.document_id, "Quota", "QuotaExceeded")
    assert "limit of 266 chunks" in error.message
    async with rig.pool.acquire() as conn:
        failed = await fetch_document(conn, rig.tenant.keys, large.document_id)
    assert (failed.active_version_id, failed.latest.state, failed.latest.error_class) == (None, "failed", "Quota")
    assert (await usage_of(rig)).chunks == await rig.count("SELECT count(*) FROM chunks") == 2


@pytest.mark.parametrize("limits", [Limits(tokens_per_day=1), Limits(tokens_per_month=0)], ids=["little", "none"])
async def test_tokens_that_do_not_suffice(rig: Rig, operator_connection: Connection, limits: Limits) -> None:
    await set_limits(operator_connection, rig.tenant.tenant, limits, suspended=False)
    item = await rig.upload("note.md", NOTE)

    progress = await rig.ingest(item)

    assert (progress.documents.failed, progress.errors[0].error_class) == (1, "Quota")
    assert ("GET" in {method for method, _ in rig.objects.requests}) == (limits.tokens_per_day == 1)
    usage = await usage_of(rig)
    assert (usage.tokens_today, usage.chunks) == (0, 0)


async def test_a_run_pauses_without_tokens_and_goes_on_when_the_limit_is_raised(
    rig: Rig, operator_connection: Connection
) -> None:
    """In the second batch of a document: what is stored stays, and the pause counts as no try."""
    large, small = await rig.upload("large.md", pages(BATCH_CHUNKS + 50)), await rig.upload("small.md", NOTE)
    await rig.ingest(await rig.upload("first.md", NOTE))
    spent = (await usage_of(rig)).tokens_today
    one_batch = spent + 300 * BATCH_CHUNKS
    await set_limits(operator_connection, rig.tenant.tenant, Limits(tokens_per_day=one_batch), suspended=False)
    mount = rig.mount(large, small)
    worker = asyncio.create_task(rig.run(mount))

    async def paused() -> bool:
        return bool(await rig.count("SELECT count(*) FROM ingest_runs WHERE (progress ->> 'shortOfTokens')::int > 0"))

    await eventually(paused, "the run says what it lacks")
    waiting = await rig.progress(mount)
    assert (waiting.documents.done, waiting.documents.failed, waiting.eta_seconds) == (0, 0, None)
    assert await rig.count("SELECT count(*) FROM chunks") == 1 + BATCH_CHUNKS
    await set_limits(operator_connection, rig.tenant.tenant, Limits(), suspended=False)
    assert await worker == 0
    progress = await rig.progress(mount)
    assert (progress.state, progress.documents.done, progress.short_of_tokens) == ("Succeeded", 2, 0)
    assert await rig.count("SELECT max(attempts + greatest(deliveries - 1, 0)) FROM work_items") == 0
    assert (
        await rig.count("SELECT sum(tokens)::bigint FROM token_uses WHERE job = $1", mount.job.uid) == progress.tokens
    )


async def test_the_job_is_charged_what_it_embedded(rig: Rig) -> None:
    mount = rig.mount(await rig.upload("large.md", pages(BATCH_CHUNKS + 50)))
    assert await rig.run(mount) == 0
    progress = await rig.progress(mount)
    charged = await rig.count(
        "SELECT sum(tokens)::bigint FROM token_uses WHERE purpose = 'ingest' AND job = $1", mount.job.uid
    )
    assert charged == progress.tokens == (await usage_of(rig)).tokens_today > BATCH_CHUNKS


async def test_a_paid_model_is_charged_what_it_says_and_asked_only_what_fits(
    rig: Rig, operator_connection: Connection
) -> None:
    """Its tokens are words here: the reservation before is an upper bound by length."""
    async with run_provider() as provider:
        entry = ModelSettings(name="paid", kind="embedding", endpoint=provider.endpoint, dimensions=DIMENSIONS)
        fields = {"models": ModelList(models=(entry,)), "model": "paid"}
        await rig.ingest(await rig.upload("note.md", NOTE), **fields)
        words = sum(len(text.split()) for request in provider.requests for text in request["input"])
        assert (await usage_of(rig)).tokens_today == words > 0
        asked = len(provider.requests)
        await set_limits(operator_connection, rig.tenant.tenant, Limits(tokens_per_day=words + 5), suspended=False)
        progress = await rig.ingest(await rig.upload("other.md", NOTE * 2), **fields)
    assert (progress.errors[0].reason, len(provider.requests)) == ("QuotaExceeded", asked)
    assert (await usage_of(rig)).tokens_today == words


async def test_a_text_that_may_not_become_a_document(rig: Rig, operator_connection: Connection) -> None:
    await set_limits(operator_connection, rig.tenant.tenant, Limits(documents=1), suspended=False)
    progress = await rig.ingest(rig.text("one.md", "One."), rig.text("two.md", "Two."))
    assert (progress.documents.done, progress.documents.failed, progress.errors[0].reason) == (1, 1, "QuotaExceeded")
    assert await rig.count("SELECT count(*) FROM documents") == 1


async def test_a_job_that_runs_finishes_what_is_uploaded_when_its_tenant_is_suspended(
    rig: Rig, operator_connection: Connection
) -> None:
    item = await rig.upload("note.md", NOTE)
    await set_limits(operator_connection, rig.tenant.tenant, Limits(), suspended=True)
    progress = await rig.ingest(item, rig.text("new.md", "New."))
    assert (progress.documents.done, progress.documents.failed) == (1, 1)
    assert progress.errors[0].reason == "TenantSuspended"
