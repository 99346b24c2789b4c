"""PDFs against their readers: loops, depths, filters, scripts, second lives."""

import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping

from tests.hostile.case import Case, case
from tests.hostile.zips import Part, archive
from tests.unit.worker.pdfs import BODY, typeset, without_pages

FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
TEXT = b"BT /F1 12 Tf 72 700 Td (quarterly figures) Tj ET"
FLATE = b"/Filter/FlateDecode"


def stream(data: bytes, extra: bytes = b"") -> bytes:
    return b"<<%b/Length %d>>stream\n%b\nendstream" % (extra, len(data), data)


def pdf(objects: Mapping[int, bytes], *, trailer: bytes = b"/Root 1 0 R", tail: bytes = b"") -> bytes:
    """Written by hand, with a table that fits."""
    written = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    places = {}
    for number, body in objects.items():
        places[number] = len(written)
        written += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table, size = len(written), max(objects) + 1
    written += b"xref\n0 %d\n0000000000 65535 f \n" % size
    for number in range(1, size):
        free = number not in places
        written += b"%010d %05d %b \n" % (places.get(number, 0), 65535 if free else 0, b"f" if free else b"n")
    written += b"trailer\n<</Size %d%b>>\nstartxref\n%d\n%%%%EOF\n" % (size, trailer, table)
    return bytes(written) + tail


def simple(
    *, root: bytes = b"", page: bytes = b"", content: bytes | None = None, more: Mapping[int, bytes] | None = None
) -> dict[int, bytes]:
    """One page with words, and what is hostile about it."""
    return {
        1: b"<</Type/Catalog/Pages 2 0 R%b>>" % root,
        2: b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        3: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>%b>>" % page,
        4: stream(TEXT) if content is None else content,
        5: FONT,
        **(more or {}),
    }


def deflated_often(data: bytes, times: int) -> bytes:
    for _ in range(times):
        data = zlib.compress(data, 9)
    return stream(data, b"/Filter[%b]" % (b"/FlateDecode" * times))


def page_tree(kids: Callable[[int], bytes], count: int) -> dict[int, bytes]:
    """A tree of `count` nodes whose children `kids` names, without a page at its end."""
    nodes = {number: b"<</Type/Pages/Kids[%b]/Count 1>>" % kids(number) for number in range(2, count + 2)}
    return {1: b"<</Type/Catalog/Pages 2 0 R>>", **nodes}


def packed_objects(inside: bytes, number: int) -> bytes:
    """An object stream with one object: nothing of it can be read in the file itself."""
    data = b"%d 0 %b" % (number, inside)
    first = len(b"%d 0 " % number)
    return stream(zlib.compress(data), b"/First %d/N 1%b/Type/ObjStm" % (first, FLATE))


SCRIPT = b"<</S/JavaScript/JS(app.launchURL\\('http://evil.example'\\))>>"
LAUNCH = b"<</S/Launch/F(cmd.exe)>>"

ACTIVE: dict[str, dict[int, bytes]] = {
    "script at opening": simple(root=b"/OpenAction" + SCRIPT),
    "script at opening, elsewhere": simple(root=b"/OpenAction 6 0 R", more={6: SCRIPT}),
    "script at opening, misspelt": simple(root=b"/Open#41ction" + SCRIPT.replace(b"JavaScript", b"J#61vaScript")),
    "script at opening, in a stream": simple(root=b"/OpenAction" + SCRIPT.replace(b"(app", b"(x=1;app")),
    "script by name": simple(root=b"/Names<</JavaScript<</Names[(a) 6 0 R]>>>>", more={6: SCRIPT}),
    "script of a page": simple(page=b"/AA<</O %b>>" % SCRIPT),
    "script at closing": simple(root=b"/AA<</WC %b>>" % SCRIPT),
    "program at opening": simple(root=b"/OpenAction" + LAUNCH),
    "program behind a link": simple(page=b"/Annots[<</Type/Annot/Subtype/Link/Rect[0 0 9 9]/A %b>>]" % LAUNCH),
    "packed program": simple(more={7: packed_objects(LAUNCH, 8)}),
    "packed script": simple(root=b"/OpenAction 8 0 R", more={7: packed_objects(SCRIPT, 8)}),
}

BROKEN: dict[str, bytes] = {
    "no pages": without_pages(),
    "header alone": b"%PDF-1.7\n",
    "header and rubbish": b"%PDF-1.7\n" + bytes(range(256)) * 40,
    "page tree that is its own child": pdf(page_tree(lambda _: b"2 0 R", 1)),
    "page tree in a ring": pdf(page_tree(lambda number: b"%d 0 R" % (2 + (number - 1) % 50), 50)),
    "page tree 20,000 deep": pdf(page_tree(lambda number: b"%d 0 R" % (number + 1), 20_000)),
    "page tree that doubles at each step": pdf(
        page_tree(lambda number: b"%d 0 R %d 0 R" % (number + 1, number + 1), 60)
    ),
    "a million pages, claimed": pdf(
        {1: b"<</Type/Catalog/Pages 2 0 R>>", 2: b"<</Type/Pages/Kids[3 0 R]/Count 1000000>>", 3: b"<</Type/Page>>"}
    ),
    "catalog that is itself": pdf({1: b"1 0 R"}),
    "contents that are themselves": pdf(simple(content=b"4 0 R")),
    "contents in a ring": pdf(simple(content=b"[4 0 R 6 0 R]", more={6: b"[4 0 R 6 0 R]"})),
    "form that draws itself": pdf(
        simple(
            page=b"/Resources<</XObject<</X 6 0 R>>>>",
            content=stream(b"/X Do"),
            more={6: stream(b"/X Do", b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 6 0 R>>>>")},
        )
    ),
    "filters thirty deep": pdf(simple(content=deflated_often(bytes(10**6), 30))),
    "bomb in the contents": pdf(simple(content=stream(zlib.compress(bytes(2**28), 1), FLATE))),
    "bomb in an object stream": pdf(
        simple(more={7: stream(zlib.compress(bytes(2**28), 1), b"/Type/ObjStm/N 9999999/First 9%b" % FLATE)})
        | {4: stream(b"")}
    ),
    "arrays 100,000 deep": pdf(simple(content=stream(b""), more={6: b"[" * 100_000 + b"]" * 100_000})),
    "operators without end": pdf(simple(content=stream(zlib.compress(b"q " * 2_000_000, 1), FLATE))),
    "dictionary without end": b"%PDF-1.7\n1 0 obj\n<<" + b"/A " * 300_000,
    "table that points at itself": pdf({1: b"<<>>"}, trailer=b"/Root 1 0 R/Prev 40"),
    "table of billions": b"%PDF-1.7\nxref\n0 4294967295\n0000000000 65535 f \ntrailer\n<<>>\nstartxref\n9\n%%EOF",
    "image of a terabyte, claimed": pdf(
        simple(
            content=stream(b"/I Do"),
            more={
                6: stream(
                    b"x", b"/Type/XObject/Subtype/Image/Width 1000000/Height 1000000/BitsPerComponent 8%b" % FLATE
                )
            },
        )
    ),
    "encrypted": typeset([[(BODY, "quarterly figures")]], password="secret"),
    "cut": typeset([[(BODY, "quarterly figures " * 99)]])[:500],
    "rubbish in the middle": re.sub(
        rb"stream\r?\n.{40}", b"stream\n" + b"\xff" * 40, typeset([[(BODY, "x")]]), flags=re.DOTALL
    ),
}


def pages(count: int) -> Iterable[tuple[int, bytes]]:
    kids = b" ".join(b"%d 0 R" % number for number in range(3, count + 3))
    yield 1, b"<</Type/Catalog/Pages 2 0 R>>"
    yield 2, b"<</Type/Pages/Kids[%b]/Count %d>>" % (kids, count)
    for number in range(3, count + 3):
        yield number, b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>"


def words() -> bytes:
    return pdf(simple())


def two_lives() -> Iterator[tuple[str, bytes]]:
    inner = archive([Part("a.exe", b"MZ")])
    yield "a zip behind it", words() + inner
    yield "a zip whose comment is its end", zip_around(words())
    yield "a program behind it", words() + b"\x7fELF" + bytes(range(1, 255)) * 20
    yield "a page before it", b"<html><body><script>1</script>" + words()
    yield "a picture before it", b"GIF89a\x01\x00\x01\x00\x00\x00" + words()
    yield "an archive before it", b"Rar!\x1a\x07\x00" + words()


def zip_around(document: bytes) -> bytes:
    """The end record's comment holds the document's last lines, so that both end where the file ends."""
    inner = bytearray(archive([Part("a.exe", b"MZ")]))
    ending = b"\nstartxref\n0\n%%EOF\n"
    inner[-2:] = len(ending).to_bytes(2, "little")
    return document + bytes(inner) + ending


def cases() -> Iterator[Case]:
    for title, objects in ACTIVE.items():
        yield case(f"pdf: {title}", "report.pdf", "ActiveContent", pdf(objects))
    codes = (
        "EmptyDocument CorruptPDF NoText TooLarge EncryptedPDF ExtractionTimeout ExtractionOutOfMemory ParserCrashed"
    )
    for title, data in BROKEN.items():
        yield case(f"pdf: {title}", "report.pdf", codes, data)
    yield case("pdf: 10,001 pages", "report.pdf", "TooLarge", lambda: pdf(dict(pages(10_001))))
    for title, data in two_lives():
        yield case(f"pdf: {title}", "report.pdf", "PolyglotFile ArchiveFile UnsupportedType TypeMismatch", data)
