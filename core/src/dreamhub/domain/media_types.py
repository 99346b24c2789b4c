"""What a file really is, before any parser sees it.

A name and a declared type are claims; the bytes decide. A polyglot can pass any sniffer, so a file that passes is
parsed by exactly one parser, the one of its found type. Pure: bytes in, a type or a reason out. The API server asks at
upload, the worker again before it parses.
"""

import re
from pathlib import PurePath
from typing import Literal, TypeGuard, get_args

from dreamhub.domain.encodings import byte_order_mark, readable_head, unmarked_unicode
from dreamhub.domain.office_files import (
    DOCX,
    OLE_START,
    PPTX,
    TAIL_BYTES,
    XLSX,
    ZIP_STARTS,
    OfficeType,
    macro_error,
    office_type,
    refuse_compound,
)
from dreamhub.errors import InvalidInputError, UnsupportedTypeError

TextType = Literal[
    "text/plain",
    "text/markdown",
    "text/html",
    "text/csv",
    "text/calendar",
    "application/json",
    "application/x-ndjson",
    "message/rfc822",
]
MediaType = TextType | Literal["application/pdf"] | OfficeType

MEDIA_TYPES: tuple[MediaType, ...] = (*get_args(TextType), "application/pdf", *get_args(OfficeType))

HEAD_BYTES = 8_192
"""How much of a file's beginning `sniff` wants to see."""

_ALIASES: dict[str, MediaType] = {
    "text/x-markdown": "text/markdown",
    "application/xhtml+xml": "text/html",
    "application/x-pdf": "application/pdf",
    "application/csv": "text/csv",
    "text/x-csv": "text/csv",
    "text/comma-separated-values": "text/csv",
    "text/tab-separated-values": "text/csv",
    "text/json": "application/json",
    "application/ndjson": "application/x-ndjson",
    "application/jsonl": "application/x-ndjson",
    "application/x-jsonlines": "application/x-ndjson",
    "application/ics": "text/calendar",
    "text/x-vcalendar": "text/calendar",
    "application/vnd.ms-outlook-eml": "message/rfc822",
}
_EXTENSIONS: dict[str, MediaType] = {
    ".txt": "text/plain",
    ".text": "text/plain",
    ".log": "text/plain",
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".html": "text/html",
    ".htm": "text/html",
    ".xhtml": "text/html",
    ".csv": "text/csv",
    ".tsv": "text/csv",
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".ndjson": "application/x-ndjson",
    ".eml": "message/rfc822",
    ".ics": "text/calendar",
    ".pdf": "application/pdf",
    ".docx": DOCX,
    ".pptx": PPTX,
    ".xlsx": XLSX,
}
_UNSAID = frozenset({"", "application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded"})
"""What programs declare when they declare nothing."""
_VAGUE = frozenset({"text/plain", "application/zip", "application/x-zip-compressed", "application/vnd.ms-excel"})
"""What they declare when they know half: a known extension tells more. Windows calls a CSV file Excel's."""
_MACRO_TYPES = re.compile(r"application/vnd\.ms-(word|excel|powerpoint)\..*macroenabled")

_EXECUTABLES = {
    b"\x7fELF": "an ELF executable",
    b"MZ": "a Windows executable",
    b"\xfe\xed\xfa\xce": "a Mach-O executable",
    b"\xfe\xed\xfa\xcf": "a Mach-O executable",
    b"\xce\xfa\xed\xfe": "a Mach-O executable",
    b"\xcf\xfa\xed\xfe": "a Mach-O executable",
    b"\xca\xfe\xba\xbe": "a Java class or Mach-O executable",
    b"\x00asm": "a WebAssembly module",
    b"dex\n": "an Android executable",
    b"#!": "a script",
}
_ARCHIVES = {
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ\x00": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a rar archive",
    b"!<arch>\n": "an ar archive",
    b"MSCF": "a cabinet archive",
    b"\x04\x22\x4d\x18": "an lz4 archive",
    b"xar!": "a xar archive",
}
_PROGRAM_NAMES = re.compile(
    r"\.(exe|scr|pif|bat|cmd|ps1|psm1|vbs|vbe|jse|ws[fh]|hta|lnk|reg|ms[ipc]|cpl|dll|sys|jar|apk|iso|img|dmg)",
    re.IGNORECASE,
)
"""What a double click runs or mounts, whatever its content looks like. No endings that names of pages have (.com)."""
_FOREIGN_TEXTS = {
    b"<?xml": "XML",
    b"<svg": "an SVG drawing",
    b"<!doctype svg": "an SVG drawing",
    b"{\\rtf": "Rich Text; save it as .docx",
    b"%!PS": "PostScript; save it as .pdf",
    b"%!FDF": "form data of a PDF",
    b"<?php": "a PHP program",
    b"<%": "a server page",
    b"<script": "a script",
}
"""Formats made of letters that nobody wants to find as such."""
_PDF = b"%PDF-"
_PDF_WITHIN = 1_024
"""Readers accept the header anywhere in the first kilobyte."""

_HTML_START = re.compile(rb"<(!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_HTML_TAG = re.compile(rb"<(p|div|h[1-6]|table|ul|ol|article|section|span|br|a|title|meta)\b[^<>]*>", re.IGNORECASE)
_CALENDAR_START = re.compile(rb"\s*BEGIN:VCALENDAR\b", re.IGNORECASE)
_JSON_START = re.compile(rb"\s*(\{\s*[\"}]|\[\s*[{\"])")
"""Of a value that nobody calls JSON: an object, or a list of what is no footnote's number and no link."""
_JSON_VALUE = re.compile(rb"\s*([\[{\"]|-?[0-9]|(true|false|null)\b)")
_HEADER = re.compile(rb"(?:From [^\n]*\n)?(?:[!-9;-~]+:[^\n]*\n(?:[ \t][^\n]*\n)*)+")
_MAIL_HEADER = re.compile(
    rb"^(from|to|cc|date|subject|message-id|received|return-path|mime-version|delivered-to|reply-to):",
    re.IGNORECASE | re.MULTILINE,
)
_MAIL_HEADERS = 3
"""How many different ones make a message of a file that nobody calls one."""
_CONTROL = frozenset(range(32)) - frozenset(b"\t\n\r\f\x1b")


def sniff(head: bytes, name: str, declared: str, tail: bytes = b"") -> MediaType:
    """The type to parse a file as, from its first `HEAD_BYTES`, its name, the declared type and its last `TAIL_BYTES`.

    The end is needed where `needs_tail` says so. Raises InvalidInputError `EmptyFile`, `CorruptOffice` or
    `EncryptedOffice`, and UnsupportedTypeError with code `ExecutableFile`, `ArchiveFile`, `MacroEnabled`,
    `LegacyOffice`, `UnsupportedType` or `TypeMismatch` (the file lies). Messages name types, never the file.
    """
    if not head:
        raise InvalidInputError("the file is empty; upload one with content", code="EmptyFile")
    _refuse(head, _EXECUTABLES, "ExecutableFile", "executables are never accepted")
    if _PROGRAM_NAMES.fullmatch(PurePath(name).suffix):
        raise UnsupportedTypeError(
            "the file's name is a program's; executables are never accepted", code="ExecutableFile"
        )
    _refuse(head, _ARCHIVES, "ArchiveFile", "unpack it and upload the documents in it")
    if head.startswith(OLE_START):
        refuse_compound(head + tail)
    claimed = claimed_type(name, declared)
    found = _zip_type(tail, claimed) if needs_tail(head) else _found_type(head, claimed)
    if claimed is not None and claimed != found:
        raise UnsupportedTypeError(
            f"the file says it is {claimed}, but its content is {found}; correct the type or the file",
            code="TypeMismatch",
        )
    return found


def sniff_bytes(data: bytes, name: str, declared: str) -> MediaType:
    """`sniff` for a whole file in memory."""
    return sniff(data[:HEAD_BYTES], name, declared, data[-TAIL_BYTES:])


def needs_tail(head: bytes) -> bool:
    """Whether the beginning alone cannot tell: a zip says at its end what is in it."""
    return head.startswith(ZIP_STARTS)


def claimed_type(name: str, declared: str) -> MediaType | None:
    """What the uploader says it is: the declared type, else the extension, else nothing.

    Some types are sent for anything that looks a little like them, so a more telling extension wins over those. Raises
    UnsupportedTypeError for a declared type outside the list, `MacroEnabled` where it says so.
    """
    media_type = declared.partition(";")[0].strip().lower()
    by_name = _EXTENSIONS.get(PurePath(name).suffix.lower())
    if media_type in _UNSAID or (media_type in _VAGUE and by_name is not None):
        return by_name
    if _MACRO_TYPES.match(media_type):
        raise macro_error()
    media_type = _ALIASES.get(media_type, media_type)
    if not is_supported(media_type):
        raise UnsupportedTypeError(
            f"documents of type {media_type} are not supported; supported are: {', '.join(MEDIA_TYPES)}"
        )
    return media_type


def is_supported(media_type: str) -> TypeGuard[MediaType]:
    return media_type in MEDIA_TYPES


def _refuse(head: bytes, signatures: dict[bytes, str], code: str, advice: str) -> None:
    for signature, what in signatures.items():
        if head.startswith(signature):
            raise UnsupportedTypeError(f"the file is {what}; {advice}", code=code)
    if code == "ArchiveFile" and head[257:262] == b"ustar":
        raise UnsupportedTypeError(f"the file is a tar archive; {advice}", code=code)


def _zip_type(tail: bytes, claimed: MediaType | None) -> OfficeType:
    try:
        return office_type(tail)
    except InvalidInputError as error:
        if error.code == "CorruptOffice" and claimed not in get_args(OfficeType):
            raise UnsupportedTypeError(
                "the file is a damaged zip archive; unpack it and upload the documents in it", code="ArchiveFile"
            ) from error
        raise


def _found_type(head: bytes, claimed: MediaType | None) -> MediaType:
    if _PDF in head[:_PDF_WITHIN]:
        _refuse_disguise(head[: head.index(_PDF)])
        return "application/pdf"
    if not _is_text(head):
        raise UnsupportedTypeError(_describe_binary(head, claimed))
    text = readable_head(head)
    found = _text_type(text, claimed)
    if found != "text/html":
        _refuse_foreign(text)
    return found


def _refuse_disguise(front: bytes) -> None:
    """Before a PDF's header stands nothing, or what a printer or a server has left; never another format's start."""
    if not _is_text(front) or front.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise UnsupportedTypeError(
            "the file is two formats at once, a PDF behind something else; export it again", code="PolyglotFile"
        )


def _refuse_foreign(head: bytes) -> None:
    start = head.lstrip()[:16].lower()
    for signature, what in _FOREIGN_TEXTS.items():
        if start.startswith(signature.lower()):
            raise UnsupportedTypeError(f"the file is {what}; supported are: {', '.join(MEDIA_TYPES)}")


def _text_type(head: bytes, claimed: MediaType | None) -> TextType:
    """What its author says it is, where it could be that. Unsaid, only what is unmistakable is more than plain text."""
    match claimed:
        case "text/plain" | "text/markdown":
            return claimed
        case "text/html" if _HTML_START.match(_skip_prolog(head)) or _HTML_TAG.search(head):
            return claimed
        case "application/json" | "application/x-ndjson" if _JSON_VALUE.match(head):
            return claimed
        case "message/rfc822" if _HEADER.match(head.replace(b"\r\n", b"\n")):
            return claimed
        case _:
            evident = _evident_type(head)
            return "text/csv" if claimed == "text/csv" and evident in {"text/plain", "application/json"} else evident


def _evident_type(head: bytes) -> TextType:
    if _HTML_START.match(_skip_prolog(head)):
        return "text/html"
    if _CALENDAR_START.match(head):
        return "text/calendar"
    if _JSON_START.match(head):
        return "application/json"
    header = _HEADER.match(head.replace(b"\r\n", b"\n"))
    if header and len({name.lower() for name in _MAIL_HEADER.findall(header[0])}) >= _MAIL_HEADERS:
        return "message/rfc822"
    return "text/plain"


def _skip_prolog(head: bytes) -> bytes:
    """The head behind an XML declaration and comments, which may stand before `<html>`."""
    rest = head.lstrip()
    for opening, closing in ((b"<?", b"?>"), (b"<!--", b"-->")):
        while rest.startswith(opening):
            rest = rest.partition(closing)[2].lstrip()
    return rest


def _is_text(head: bytes) -> bool:
    """Whether the bytes could be text: marked Unicode, or without NUL and with next to no control characters.

    Whether they are *valid* text is decided by the decoder, which names the offset.
    """
    if byte_order_mark(head) or unmarked_unicode(head):
        return True
    return 0 not in head and sum(byte in _CONTROL for byte in head) <= len(head) // 50


def _describe_binary(head: bytes, claimed: MediaType | None) -> str:
    import puremagic  # noqa: PLC0415 - its tables are only worth loading to name a refusal

    try:
        found = puremagic.from_string(head, mime=True) or "of an unknown binary type"
    except (puremagic.PureError, ValueError):
        found = "of an unknown binary type"
    said = f"the file says it is {claimed}, but its content is {found}" if claimed else f"the file is {found}"
    return f"{said}; supported are: {', '.join(MEDIA_TYPES)}"
