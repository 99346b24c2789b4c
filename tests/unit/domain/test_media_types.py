"""The bytes decide: what each format is taken for, and what is refused with which code."""

import io
import zipfile
from collections.abc import Sequence

import pytest

from dreamhub.domain.media_types import HEAD_BYTES, MEDIA_TYPES, MediaType, claimed_type, sniff, sniff_bytes
from dreamhub.domain.office_files import DOCX, OLE_START, PPTX, TAIL_BYTES, XLSX
from dreamhub.errors import DreamHubError

TYPES = "[Content_Types].xml"
MAIL = b"From: eva@example.com\r\nTo: jan@example.com\r\nSubject: Hello\r\n\r\nText\r\n"
CALENDAR = b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n"


def zipped(names: Sequence[str], *, front: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"<x/>")
    return front + buffer.getvalue()


def refusal(data: bytes, name: str = "", declared: str = "") -> str:
    with pytest.raises(DreamHubError) as caught:
        sniff_bytes(data, name, declared)
    return caught.value.code


@pytest.mark.parametrize(
    ("data", "name", "declared", "expected"),
    [
        (b"words", "", "", "text/plain"),
        (b"words", "a.md", "", "text/markdown"),
        (b"words", "a.md", "text/plain", "text/markdown"),
        (b"<!-- x --><HTML><body>x", "", "", "text/html"),
        (b"<p>x</p>", "a.html", "", "text/html"),
        (b"<html>", "a.txt", "text/plain", "text/plain"),
        (b"a,b\n1,2\n", "a.csv", "", "text/csv"),
        (b"a\tb\n", "a.tsv", "text/tab-separated-values", "text/csv"),
        (b"a;b\n", "a.csv", "application/vnd.ms-excel", "text/csv"),
        (b'{"a": 1}', "", "", "application/json"),
        (b'"one value"', "a.json", "", "application/json"),
        (b'{"a": 1}\n{"a": 2}\n', "a.jsonl", "application/json; charset=utf-8", "application/json"),
        (b'{"a": 1}\n{"a": 2}\n', "a.jsonl", "", "application/x-ndjson"),
        (b"[1] a footnote", "", "", "text/plain"),
        (b"[[a wiki link]]", "", "", "text/plain"),
        (MAIL, "", "", "message/rfc822"),
        (b"X-Only: one\n\nText", "a.eml", "", "message/rfc822"),
        (b"From x Mon Jan 1\n" + MAIL, "a.eml", "", "message/rfc822"),
        (b"From: somebody wrote this\nonce", "", "", "text/plain"),
        (CALENDAR, "", "", "text/calendar"),
        (b"\xef\xbb\xbf" + CALENDAR, "a.ics", "", "text/calendar"),
        (b"%PDF-1.7", "", "", "application/pdf"),
        (b"\r\n@PJL\r\n%PDF-1.7", "", "", "application/pdf"),
        (b"<?xml version='1.0'?><!doctype html><html>", "", "", "text/html"),
        ("<html><p>x".encode("utf-16"), "a.html", "", "text/html"),
        ("plain words".encode("utf-16-le"), "", "", "text/plain"),
        ("plain words".encode("utf-32"), "", "", "text/plain"),
        ("plain words".encode("utf-32-be"), "", "", "text/plain"),
        ("本公司员工\n年假".encode("utf-16-be"), "a.txt", "", "text/plain"),
        (zipped([TYPES, "word/document.xml"]), "", "", DOCX),
        (zipped([TYPES, "word/document2.xml"]), "a.docx", DOCX, DOCX),
        (zipped(["docProps/app.xml", "ppt/presentation.xml", TYPES]), "a.pptx", "application/zip", PPTX),
        (zipped([TYPES, "xl/workbook.xml"]), "a.xlsx", "application/octet-stream", XLSX),
    ],
)
def test_what_a_file_is(data: bytes, name: str, declared: str, expected: MediaType) -> None:
    assert sniff_bytes(data, name, declared) == expected


@pytest.mark.parametrize(
    ("data", "name", "declared", "code"),
    [
        (b"", "", "", "EmptyFile"),
        (b"MZ\x90\x00", "a.docx", DOCX, "ExecutableFile"),
        (b"#!/bin/sh\n", "a.csv", "text/csv", "ExecutableFile"),
        (b"\x1f\x8b\x08", "", "", "ArchiveFile"),
        (b"Rar!\x1a\x07\x00", "a.docx", "", "ArchiveFile"),
        (zipped(["a.txt"]), "a.docx", DOCX, "ArchiveFile"),
        (b"PK\x03\x04" + bytes(64), "a.zip", "application/octet-stream", "ArchiveFile"),
        (b"PK\x03\x04" + bytes(64), "a.docx", "", "CorruptOffice"),
        (zipped([]), "", "", "ArchiveFile"),
        (zipped(["mimetype", "content.xml", "META-INF/manifest.xml"]), "", "", "ArchiveFile"),
        (zipped(["META-INF/MANIFEST.MF", "Main.class"]), "a.docx", DOCX, "ArchiveFile"),
        (zipped([TYPES, "word/document.xml", "word/vbaProject.bin"]), "a.docx", DOCX, "MacroEnabled"),
        (zipped([TYPES, "xl/workbook.xml", "xl/macrosheets/sheet1.xml"]), "a.xlsx", XLSX, "MacroEnabled"),
        (b"x", "a.docm", "application/vnd.ms-word.document.macroEnabled.12", "MacroEnabled"),
        (zipped([TYPES, "visio/document.xml"]), "", "", "UnsupportedType"),
        (zipped([TYPES, "xl/workbook.bin"]), "a.xlsx", XLSX, "UnsupportedType"),
        (zipped([TYPES, "word/document.xml", "xl/workbook.xml"]), "", "", "UnsupportedType"),
        (zipped([TYPES, "xl/workbook.xml"]), "a.docx", DOCX, "TypeMismatch"),
        (zipped([TYPES, "xl/workbook.xml"])[:-30], "a.xlsx", XLSX, "CorruptOffice"),
        (OLE_START + bytes(600), "a.docx", DOCX, "LegacyOffice"),
        (OLE_START + bytes(600) + "EncryptedPackage".encode("utf-16-le"), "a.docx", DOCX, "EncryptedOffice"),
        (b"\x89PNG\r\n\x1a\n" + bytes(64), "a.png", "", "UnsupportedType"),
        (b"BEGIN:VEVENT", "a.ics", "", "TypeMismatch"),
        (b"words", "a.json", "", "TypeMismatch"),
        (b"no header here\n", "a.eml", "", "TypeMismatch"),
        (CALENDAR, "a.csv", "", "TypeMismatch"),
        (b"<html>", "a.csv", "", "TypeMismatch"),
        (b"words", "a.pdf", "application/pdf", "TypeMismatch"),
        (b"words", "a.xml", "application/xml", "UnsupportedType"),
        (b"<?xml version='1.0'?><rss/>", "a.txt", "text/plain", "UnsupportedType"),
        (b"\n <SVG onload=x>", "", "", "UnsupportedType"),
        (b"{\\rtf1 words}", "a.md", "", "UnsupportedType"),
        (b"echo words", "a.BAT", "text/plain", "ExecutableFile"),
        (b"<html>%PDF-1.7", "", "", "PolyglotFile"),
        (b"\x89PNG\r\n\x1a\n\0\0%PDF-1.7", "", "", "PolyglotFile"),
    ],
)
def test_what_is_refused(data: bytes, name: str, declared: str, code: str) -> None:
    assert refusal(data, name, declared) == code


def test_an_office_file_with_a_password_on_its_parts_is_encrypted() -> None:
    data = bytearray(zipped([TYPES, "word/document.xml"]))
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    assert refusal(bytes(data)) == "EncryptedOffice"


def test_a_large_office_file_is_known_by_its_end() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("media/video.mp4", bytes(3 * TAIL_BYTES))
        archive.writestr(TYPES, "<x/>")
        archive.writestr("ppt/presentation.xml", "<x/>")
    data = buffer.getvalue()
    assert sniff(data[:HEAD_BYTES], "", "", data[-TAIL_BYTES:]) == PPTX


def test_a_zip_behind_something_else_is_not_looked_into() -> None:
    """A polyglot is what it begins with."""
    assert sniff_bytes(zipped([TYPES, "word/document.xml"], front=b"%PDF-1.7\n"), "", "") == "application/pdf"


def test_a_few_zero_bytes_make_no_utf16() -> None:
    assert refusal(b"\x01\x00\x02\x00" * 100) == "UnsupportedType"
    assert refusal(b"abc\x00def\x00\x00ghi") == "UnsupportedType"


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
def test_every_type_can_be_declared_by_its_own_name(media_type: MediaType) -> None:
    assert claimed_type("document", media_type.upper() + "; charset=utf-8") == media_type
