"""One document of each format, from its bytes to chunks that say where in the original they stand."""

import pytest

from dreamhub.sql.documents import StoredChunk, fetch_document, list_chunks
from tests.integration.worker.support import Rig
from tests.unit.worker.formats import CASES, slides, word


async def read_chunks(rig: Rig, document_id: str) -> tuple[StoredChunk, ...]:
    async with rig.pool.acquire() as conn:
        return (await list_chunks(conn, rig.tenant.keys, document_id)).items


async def test_every_format_becomes_chunks_that_know_their_place(rig: Rig) -> None:
    items = [await rig.upload(case.name, case.data) for case in CASES]

    progress = await rig.ingest(*items)

    assert progress.errors == ()
    assert progress.documents.done == len(CASES)
    for case, item in zip(CASES, items, strict=True):
        last = (await read_chunks(rig, item.document_id))[-1]
        assert (last.heading_path, (last.unit, last.page)) == (case.path, case.place), case.name
        assert case.words in last.text
        async with rig.pool.acquire() as conn:
            document = await fetch_document(conn, rig.tenant.keys, item.document_id)
        assert document.latest.pages == case.pages, case.name


async def test_chunks_of_an_older_build_count_pages(rig: Rig) -> None:
    item = await rig.upload("review.pptx", slides())
    await rig.ingest(item)
    await rig.pool.execute("UPDATE chunks SET unit = NULL")
    assert {chunk.unit for chunk in await read_chunks(rig, item.document_id)} == {"page"}


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("cut.docx", word()[:-200], "CorruptOffice"),
        ("old.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "LegacyOffice"),
        ("a.json", b'{"a": }', "BadJSON"),
        ("a.ics", b"BEGIN:VCALENDAR\r\nwhat\r\nEND:VCALENDAR\r\n", "BadCalendar"),
    ],
)
async def test_a_broken_file_says_what_is_wrong(rig: Rig, name: str, data: bytes, code: str) -> None:
    progress = await rig.ingest(await rig.upload(name, data))
    assert [error.reason for error in progress.errors] == [code]
