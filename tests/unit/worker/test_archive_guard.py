"""Archives are judged by their directory and their headers before anything is unpacked whole."""

import bz2
import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable

import pytest
from typing_extensions import override

from dreamhub.errors import DreamHubError
from dreamhub_worker import archive_guard
from dreamhub_worker.archive_guard import check_archive
from tests.hostile.zips import ENCRYPTED, SIZES_FOLLOW, STORED, Part, archive, deflate, zeros

MEGABYTE = 2**20
DOCUMENT = Part("word/document.xml", b"<document>words</document>")


def code_of(data: bytes) -> str:
    with pytest.raises(DreamHubError) as caught:
        check_archive(data)
    assert "words" not in caught.value.message
    return caught.value.code


def nested(inner: bytes, name: str = "word/embeddings/inner.xlsx") -> bytes:
    return archive([DOCUMENT, Part(name, inner, method=STORED)])


def streamed() -> bytes:
    """As a program writes it that cannot go back: sizes behind the data."""

    class OneWay(io.BytesIO):
        @override
        def seekable(self) -> bool:
            return False

    target = OneWay()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("word/document.xml", "<document/>")
        with file.open("word/large.xml", "w", force_zip64=True) as part:
            part.write(b"<a/>")
    return target.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        archive([DOCUMENT]),
        archive([DOCUMENT, Part("word/"), Part("word/media/image1.png", b"\x89PNG\r\n\x1a\n" + bytes(100))]),
        archive([DOCUMENT, Part("word/\u00e4.xml", b"<a/>")]),
        archive([DOCUMENT, Part("empty.xml.template", bytes(MEGABYTE))]),
        archive([DOCUMENT, Part("word/font.odttf", b"MZ" + bytes(600))]),
        nested(nested(archive([DOCUMENT]))),
        streamed(),
    ],
    ids=[
        "one part",
        "folder and picture",
        "umlaut",
        "template",
        "font that begins like a program",
        "chart",
        "streamed",
    ],
)
def test_what_office_programs_write_passes(data: bytes) -> None:
    check_archive(data)


def test_python_and_the_hand_written_archives_agree() -> None:
    """Else the lies below would prove nothing."""
    with zipfile.ZipFile(io.BytesIO(archive([DOCUMENT, Part("a", b"b", method=STORED)]))) as file:
        assert file.testzip() is None


def bomb(size: int, name: str = "word/media/a.bin") -> Part:
    body = zeros(size)
    told: dict[str, object] = {"packed": len(body), "unpacked": size}
    return Part(name, body=body, local=told, central=told)


def roomy(number: int) -> Part:
    """Claims 60 MiB and holds too little for them: the directory alone decides."""
    told: dict[str, object] = {"unpacked": 60 * MEGABYTE, "crc": 0}
    return Part(f"{number}.bin", body=bytes(MEGABYTE), local=told, central=told)


def lying(local: dict[str, object] | None = None, central: dict[str, object] | None = None) -> bytes:
    return archive([Part(DOCUMENT.name, DOCUMENT.data, local=local or {}, central=central or {})])


def quoted() -> bytes:
    """The first part's data holds the second one's header and data."""
    inner = archive([Part("b.xml", b"<b/>", method=STORED)])[: 30 + 5 + 4]
    parts = [Part("a.bin", inner, method=STORED), Part("b.xml", b"<b/>", method=STORED, offset=30 + 5)]
    return archive(parts)


def directory_inside() -> bytes:
    """The part reaches into the directory, as far as its checksum can be known before it is written there."""
    reached = b"data" + struct.pack("<4s4H", b"PK\1\2", 20, 20, 0, STORED)
    told: dict[str, object] = {"packed": len(reached), "unpacked": len(reached), "crc": zlib.crc32(reached)}
    return archive([Part("a.bin", b"data", method=STORED, local=told, central=told)])


Build = Callable[[], bytes]

LIES: dict[str, tuple[str, Build]] = {
    "ratio of a part": ("ArchiveBomb", lambda: archive([DOCUMENT, bomb(20 * MEGABYTE)])),
    "ratio of a part, little in all": ("ArchiveBomb", lambda: archive([DOCUMENT, bomb(8 * MEGABYTE)])),
    "ratio in small parts": ("ArchiveBomb", lambda: archive(bomb(MEGABYTE, f"{n}.bin") for n in range(40))),
    "one large part": ("ArchiveTooLarge", lambda: archive([bomb(257 * MEGABYTE)])),
    "many large parts": ("ArchiveTooLarge", lambda: archive(roomy(n) for n in range(9))),
    "quoted part": ("ArchiveBomb", quoted),
    "same bytes for many": ("ArchiveBomb", lambda: archive([DOCUMENT, Part("b.xml", b"<b/>", offset=0)])),
    "directory inside a part": ("CorruptDocument", directory_inside),
    "size larger in the directory": ("CorruptDocument", lambda: lying(central={"unpacked": 9})),
    "size smaller in the part": ("CorruptDocument", lambda: lying(local={"unpacked": 9})),
    "another checksum": ("CorruptDocument", lambda: lying(local={"crc": 9})),
    "another method": ("CorruptDocument", lambda: lying(local={"method": STORED})),
    "another name": ("CorruptDocument", lambda: lying(local={"name": b"word/documenu.xml"})),
    "encrypted in the part only": ("CorruptDocument", lambda: lying(local={"flags": ENCRYPTED})),
    "checksum wrong in both": ("CorruptDocument", lambda: lying(local={"crc": 9}, central={"crc": 9})),
    "bzip2, which Python knows and the format does not": (
        "CorruptDocument",
        lambda: archive([Part("a.xml", b"<a/>", method=12, body=bz2.compress(b"<a/>"))]),
    ),
    "unknown method": ("CorruptDocument", lambda: archive([Part("a.xml", b"<a/>", method=14)])),
    "no deflate": ("CorruptDocument", lambda: archive([Part("a.xml", b"<a/>", body=b"\xff\xff\xff\xff")])),
    "cut": ("CorruptDocument", lambda: archive([DOCUMENT])[:-30]),
    "empty": ("CorruptDocument", bytes),
    "encrypted": ("EncryptedOffice", lambda: lying(local={"flags": ENCRYPTED}, central={"flags": ENCRYPTED})),
    "sizes that follow and lie": (
        "CorruptDocument",
        lambda: lying(local={"flags": SIZES_FOLLOW, "unpacked": 9}, central={"flags": SIZES_FOLLOW}),
    ),
    "prefix": ("UnsafeArchive", lambda: archive([DOCUMENT], prefix=b"%PDF-1.7\n")),
    "suffix": ("UnsafeArchive", lambda: archive([DOCUMENT], suffix=b"#!/bin/sh")),
    "two archives": ("UnsafeArchive", lambda: archive([DOCUMENT]) + archive([DOCUMENT])),
    "name twice": ("UnsafeArchive", lambda: archive([DOCUMENT, DOCUMENT])),
    "name twice but for case": ("UnsafeArchive", lambda: archive([DOCUMENT, Part("WORD/document.xml", b"<a/>")])),
    "link": ("UnsafeArchive", lambda: archive([DOCUMENT, Part("a", b"/etc/passwd", mode=stat.S_IFLNK | 0o777)])),
    "device": ("UnsafeArchive", lambda: archive([DOCUMENT, Part("a", mode=stat.S_IFCHR | 0o666)])),
    "archive in it": ("NestedArchive", lambda: nested(archive([DOCUMENT]), "word/media/a.zip")),
    "gzip in it": ("NestedArchive", lambda: nested(b"\x1f\x8b\x08" + bytes(30), "word/a.bin")),
    "too deep": ("NestedArchive", lambda: nested(nested(nested(archive([DOCUMENT]))))),
    "bomb in it": ("ArchiveBomb", lambda: nested(archive([bomb(20 * MEGABYTE)]))),
    "laughs in it": ("UnsafeXML", lambda: nested(archive([Part("xl/a.bin", b"<!DOCTYPE a []><a/>")]))),
    "executable in it": (
        "ExecutableFile",
        lambda: archive([DOCUMENT, Part("word/embeddings/a.bin", b"\x7fELF" + bytes(60))]),
    ),
    "macros": ("MacroEnabled", lambda: archive([DOCUMENT, Part("word/vbaProject.bin", b"\xd0\xcf\x11\xe0")])),
    "external entity": (
        "UnsafeXML",
        lambda: archive([Part("word/document.xml", b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>')]),
    ),
    "xml by another name": ("UnsafeXML", lambda: archive([Part("word/a.jpg", b" \n<!DOCTYPE a []><a/>")])),
    "xml in UTF-16": ("UnsafeXML", lambda: archive([Part("a", "<!DOCTYPE a []><a/>".encode("utf-16-be"))])),
    "xml behind blanks": ("UnsafeXML", lambda: archive([Part("a", b" " * 4_000 + b"<!DOCTYPE a []><a/>")])),
    "xml in EBCDIC": ("UnsafeXML", lambda: archive([Part("a", '<?xml version="1.0"?>'.encode("cp500"))])),
    "deep": ("ExtractionTooDeep", lambda: archive([Part("a.rels", b"<a>" * 300)])),
}


@pytest.mark.parametrize(("code", "build"), LIES.values(), ids=LIES)
def test_an_archive_that_only_attacks_need_is_refused(code: str, build: Build) -> None:
    assert code_of(build()) == code


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../a", "a/../b", "a//b", "./a", "C:a", "a\\b", "a\0b", "a\nb", "a\u202eb", "x" * 2_000, ""]
)
def test_a_path_that_leads_elsewhere(name: str) -> None:
    assert code_of(archive([DOCUMENT, Part(name, b"a")])) == "UnsafeArchive"


@pytest.mark.parametrize("claimed", [None, 1])
def test_entries_are_counted_before_they_are_read(monkeypatch: pytest.MonkeyPatch, claimed: int | None) -> None:
    """Also where the end record claims few."""
    monkeypatch.setattr("dreamhub_worker.archive_guard.zipfile.ZipFile", None)
    data = archive((Part(f"{number}", method=STORED) for number in range(20_001)), count=claimed)
    assert code_of(data) == "ArchiveTooLarge"


def test_the_limit_of_entries_itself() -> None:
    def many(count: int) -> bytes:
        return archive(Part(f"{number}", method=STORED) for number in range(count))

    check_archive(many(archive_guard.MAX_ENTRIES))
    assert code_of(many(archive_guard.MAX_ENTRIES + 1)) == "ArchiveTooLarge"


def test_a_part_is_unpacked_no_further_than_it_promises() -> None:
    """The directory and the header both claim four bytes of what would be a megabyte."""
    told: dict[str, object] = {"unpacked": 4, "crc": 0}
    body = deflate(b"<a/>" + b" " * MEGABYTE)
    assert code_of(archive([Part("a.xml", body=body, local=told, central=told)])) == "CorruptDocument"
