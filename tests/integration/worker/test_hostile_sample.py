"""A sample of the hostile files through the whole worker, in one run, between two honest documents."""

from dreamhub.sql.documents import fetch_document
from tests.hostile.catalog import catalog
from tests.integration.worker.support import Rig

STEP = 17
"""Every so many: each family and each kind of file is in it."""


async def reason_of(rig: Rig, document_id: str) -> str | None:
    async with rig.pool.acquire() as conn:
        document = await fetch_document(conn, rig.tenant.keys, document_id)
    assert document.active_version_id is None
    return document.latest.error_reason


async def test_no_hostile_file_becomes_searchable_and_the_worker_lives(rig: Rig) -> None:
    first, last = await rig.upload("first.txt", b"the first words"), await rig.upload("last.txt", b"the last words")
    sample = catalog()[::STEP]
    named = [(f"{number} {case.name}", case) for number, case in enumerate(sample)]  # one name is one document
    hostile = [await rig.upload(name, case.build(), case.declared) for name, case in named]

    progress = await rig.ingest(first, *hostile, last)

    assert (progress.documents.done, progress.documents.failed) == (2, len(sample))
    rows = await rig.pool.fetch("SELECT DISTINCT document_id FROM chunks")
    assert {row["document_id"] for row in rows} == {first.document_id, last.document_id}
    reasons = [await reason_of(rig, item.document_id) for item in hostile]
    wrong = [(case.title, found) for case, found in zip(sample, reasons, strict=True) if found not in case.codes]
    assert wrong == []
