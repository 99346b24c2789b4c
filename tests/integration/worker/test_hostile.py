"""Bad input: each with its own reason, told in the run and in the document; nothing else is left behind."""

import io
import zipfile
from dataclasses import dataclass

import pytest

from dreamhub.domain.job_input import InputDocument
from dreamhub.ids import new_id
from dreamhub.sql.documents import delete_document, fetch_document
from dreamhub_worker.failures import MAX_ATTEMPTS
from tests.integration.worker.support import Rig
from tests.unit.worker.pdfs import BODY, typeset, without_pages

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "text")
    return buffer.getvalue()


@dataclass(frozen=True)
class Case:
    name: str
    declared: str
    data: bytes
    code: str
    told: str


CASES = [
    Case("empty.txt", "text/plain", b"", "EmptyFile", "empty"),
    Case("blank.md", "text/markdown", b" \n\t\n", "NoText", "no text"),
    Case("latin.txt", "text/plain", b"caf\xe8", "InvalidEncoding", "byte 3"),
    Case("report.pdf", "application/pdf", b"just words", "TypeMismatch", "its content is text/plain"),
    Case("notes.txt", "text/plain", typeset([[(BODY, "x")]]), "TypeMismatch", "its content is application/pdf"),
    Case("notes.txt", "text/plain", b"\x7fELF\x02\x01\x01" + bytes(60), "ExecutableFile", "ELF"),
    Case("setup.pdf", "application/pdf", b"MZ" + bytes(60), "ExecutableFile", "Windows"),
    Case("run.txt", "text/plain", b"#!/bin/sh\nrm -rf /\n", "ExecutableFile", "script"),
    Case("docs.txt", "", zipped(), "ArchiveFile", "unpack"),
    Case("photo.txt", "text/plain", PNG, "UnsupportedType", "image/png"),
    Case("photo.png", "image/png", PNG, "UnsupportedType", "image/png"),
    Case("secret.pdf", "application/pdf", typeset([[(BODY, "x")]], password="p"), "EncryptedPDF", "password"),
    Case("none.pdf", "application/pdf", without_pages(), "EmptyDocument", "no pages"),
    Case("scan.pdf", "application/pdf", typeset([[]]), "NoText", "recognition"),
    Case("cut.pdf", "application/pdf", typeset([[(BODY, "x" * 999)]])[:400], "CorruptPDF", "damaged"),
    Case("empty.html", "text/html", b"<html><body></body></html>", "NoText", "no text"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.code} {case.name}")
async def test_a_bad_file_fails_with_its_reason_and_leaves_nothing(rig: Rig, case: Case) -> None:
    item = await rig.upload(case.name, case.data, case.declared)

    progress = await rig.ingest(item)

    assert (progress.state, progress.documents.failed, progress.percent) == ("Failed", 1, 100)
    [error] = progress.errors
    assert (error.document, error.error_class, error.reason) == (item.document_id, "Permanent", case.code)
    assert case.told in error.message
    assert case.name not in error.message
    assert await rig.count("SELECT count(*) FROM chunks") == 0
    async with rig.pool.acquire() as conn:
        document = await fetch_document(conn, rig.tenant.keys, item.document_id)
    assert (document.latest.state, document.latest.error_reason) == ("failed", case.code)
    assert document.active_version_id is None


async def test_a_file_above_the_limit_is_left_after_the_limit(rig: Rig) -> None:
    item = await rig.upload("large.txt", b"x" * 3_000)
    mount = rig.mount(item)

    assert await rig.run(mount, DREAMHUB_UPLOAD_LIMIT_BYTES="2000") == 0

    [error] = (await rig.progress(mount)).errors
    assert error.reason == "TooLarge"
    assert "2000 bytes" in error.message


async def test_an_inline_text_above_the_limit_is_no_document(rig: Rig) -> None:
    mount = rig.mount(rig.text("large.txt", "x" * 3_000))

    assert await rig.run(mount, DREAMHUB_UPLOAD_LIMIT_BYTES="2000") == 0

    assert [error.reason for error in (await rig.progress(mount)).errors] == ["TooLarge"]
    assert await rig.count("SELECT count(*) FROM documents") == 0


async def test_a_document_that_was_deleted_before_its_job(rig: Rig) -> None:
    item = await rig.upload("gone.txt", b"soon gone")
    async with rig.pool.acquire() as conn:
        await delete_document(conn, item.document_id)

    progress = await rig.ingest(item)

    [error] = progress.errors
    assert (error.document, error.reason) == (item.document_id, "DocumentNotFound")


async def test_a_document_that_never_was(rig: Rig) -> None:
    never = InputDocument(document_id=new_id("doc"), version_id=new_id("ver"), url=rig.objects.url("none"))
    assert [error.reason for error in (await rig.ingest(never)).errors] == ["DocumentNotFound"]


async def test_an_original_that_is_gone(rig: Rig) -> None:
    item = await rig.upload("gone.txt", b"soon gone")
    del rig.objects.objects[item.version_id]
    assert [error.reason for error in (await rig.ingest(item)).errors] == ["DocumentDeleted"]


async def test_a_link_that_has_expired(rig: Rig) -> None:
    item = await rig.upload("late.txt", b"too late")
    rig.objects.refusals = [403]
    [error] = (await rig.ingest(item)).errors
    assert error.reason == "LinkExpired"
    assert "new ingest job" in error.message
    assert rig.objects.requests == [("GET", item.version_id)]


async def test_a_store_that_stumbles_is_asked_again(rig: Rig) -> None:
    item = await rig.upload("a.txt", b"some words")
    rig.objects.refusals = [503, 500]
    assert (await rig.ingest(item)).documents.done == 1


async def test_an_unknown_model_fails_the_job_at_once(rig: Rig) -> None:
    mount = rig.mount(await rig.upload("a.txt", b"some words"), model="acme/huge")
    assert await rig.run(mount) == 42


async def test_another_model_than_the_tenants_fails_every_document(rig: Rig) -> None:
    """Vectors of two models must never meet in one index."""
    await rig.ingest(await rig.upload("a.txt", b"some words"))
    await rig.pool.execute("UPDATE index_generations SET model = 'acme/other'")
    mount = rig.mount(await rig.upload("b.txt", b"more words"), await rig.upload("c.txt", b"and more"))

    assert await rig.run(mount) == 42

    progress = await rig.progress(mount)
    assert (progress.state, progress.documents.failed) == ("Failed", 2)
    assert {error.reason for error in progress.errors} == {"EmbeddingModelChanged"}


async def test_an_original_of_another_size_than_registered_is_not_read(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dreamhub_worker.run.BACKOFF_SECONDS", 0.01)
    item = await rig.upload("a.txt", b"some words")
    rig.objects.objects[item.version_id] = b"some"
    mount = rig.mount(item)

    assert await rig.run(mount) == 0

    progress = await rig.progress(mount)
    [error] = progress.errors
    assert (progress.state, error.error_class, error.reason) == ("Failed", "Transient", "ObjectStoreUnavailable")
    assert await rig.count("SELECT attempts FROM work_items") == MAX_ATTEMPTS
    assert await rig.count("SELECT count(*) FROM chunks") == 0
