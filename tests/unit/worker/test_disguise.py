"""What two formats claim, and what a PDF does by itself; honest documents that look a little like it pass."""

import zlib

import pytest

from dreamhub.domain.media_types import MediaType
from dreamhub.errors import DreamHubError
from dreamhub_worker import pdf_objects
from dreamhub_worker.disguise import check_disguise
from tests.hostile.pdfs import ACTIVE, FLATE, SCRIPT, packed_objects, pdf, simple, stream, words
from tests.hostile.zips import STORED, Part, archive

ZIP = archive([Part("a.txt", b"words", method=STORED)])
LINK = b"<</Type/Annot/Subtype/Link/Rect[0 0 9 9]/A<</S/URI/URI(https://example.com)>>>>"
FIELD = b"<</Type/Annot/Subtype/Widget/FT/Tx/Rect[0 0 9 9]/AA<</F %b/K %b/C %b>>>>" % (SCRIPT, SCRIPT, SCRIPT)

HONEST = {
    "words": words(),
    "goes to a page": pdf(simple(root=b"/OpenAction[3 0 R/Fit]")),
    "goes to a page by an action": pdf(simple(root=b"/OpenAction 6 0 R", more={6: b"<</S/GoTo/D[3 0 R/Fit]>>"})),
    "link": pdf(simple(page=b"/Annots[%b]" % LINK)),
    "form that checks what is typed": pdf(simple(page=b"/Annots[%b]" % FIELD)),
    "form that goes to a page": pdf(simple(root=b"/OpenAction<</S/GoTo/D[3 0 R/Fit]>>", page=b"/Annots[%b]" % FIELD)),
    "form with packed fields": pdf(simple(more={7: packed_objects(FIELD, 8)})),
    "words about scripts": pdf(simple(content=stream(b"BT (/OpenAction and /S /JavaScript) Tj ET"))),
    "zip attached": pdf(simple(more={6: stream(ZIP, b"/Type/EmbeddedFile")})),
    "a mail server's lines behind it": words() + b"--\r\nsent by a gateway\r\n",
    "padded": words() + bytes(5_000),
    "cut": words()[:-30],
    "object stream of rubbish": pdf(simple(more={7: stream(b"rubbish", b"/Type/ObjStm/N 1/First 4" + FLATE)})),
}


def code_of(data: bytes, media_type: MediaType = "application/pdf") -> str:
    with pytest.raises(DreamHubError) as caught:
        check_disguise(data, media_type)
    return caught.value.code


@pytest.mark.parametrize("data", HONEST.values(), ids=HONEST)
def test_an_honest_document_passes(data: bytes) -> None:
    check_disguise(data, "application/pdf")


@pytest.mark.parametrize("objects", ACTIVE.values(), ids=ACTIVE)
def test_a_document_that_acts_by_itself_is_refused(objects: dict[int, bytes]) -> None:
    assert code_of(pdf(objects)) == "ActiveContent"


@pytest.mark.parametrize("media_type", ["text/plain", "text/html", "message/rfc822", "application/json"])
def test_words_that_end_as_an_archive_are_refused(media_type: MediaType) -> None:
    assert code_of(b"words\n" * 90_000 + ZIP, media_type) == "PolyglotFile"
    check_disguise(b"words of PK\x05\x06 alone " * 99, media_type)


def test_a_program_behind_the_end_is_refused() -> None:
    assert code_of(words() + b"\x7fELF" + bytes(range(1, 255)) * 9) == "PolyglotFile"


def test_a_late_definition_counts_as_well_as_the_first() -> None:
    objects = simple(root=b"/OpenAction 6 0 R", more={6: b"<</S/GoTo/D[3 0 R/Fit]>>"})
    assert code_of(pdf(objects) + b"6 0 obj\n" + SCRIPT + b"\nendobj\n%%EOF") == "ActiveContent"


def test_what_is_too_much_to_look_at_is_not_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = {number: packed_objects(b"<</A(%d)>>" % number, 90 + number) for number in range(6, 12)}
    data = pdf(simple(more=objects))
    check_disguise(data, "application/pdf")
    monkeypatch.setattr(pdf_objects, "MAX_STREAMS", 3)
    assert code_of(data) == "TooLarge"
    monkeypatch.setattr(pdf_objects, "MAX_UNPACKED_BYTES", 2**20)
    assert code_of(pdf(simple(more={6: stream(zlib.compress(bytes(2**21)), b"/Type/ObjStm" + FLATE)}))) == "TooLarge"


def test_references_that_go_in_rings_end() -> None:
    check_disguise(pdf(simple(root=b"/OpenAction 6 0 R", more={6: b"6 0 R"})), "application/pdf")
