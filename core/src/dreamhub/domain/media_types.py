"""What a file really is, before any parser sees it.

A name and a declared type are claims; the bytes decide. A polyglot can pass any sniffer, so a file that passes is
parsed by exactly one parser, the one of its found type. Pure: bytes in, a type or a reason out. The API server asks at
upload, the worker again before it parses.
"""

import codecs
import re
from pathlib import PurePath
from typing import Literal, TypeGuard, get_args

from dreamhub.errors import InvalidInputError, UnsupportedTypeError

MediaType = Literal["text/plain", "text/markdown", "text/html", "application/pdf"]

MEDIA_TYPES: tuple[MediaType, ...] = get_args(MediaType)

HEAD_BYTES = 8_192
"""How much of a file `sniff` wants to see."""

_ALIASES: dict[str, MediaType] = {
    "text/x-markdown": "text/markdown",
    "application/xhtml+xml": "text/html",
    "application/x-pdf": "application/pdf",
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
    ".pdf": "application/pdf",
}
_UNSAID = frozenset({"", "application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded"})
"""What programs declare when they declare nothing."""

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
    b"PK\x03\x04": "a zip archive or an Office document",
    b"PK\x05\x06": "an empty zip archive",
    b"PK\x07\x08": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ\x00": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a rar archive",
    b"!<arch>\n": "an ar archive",
    b"MSCF": "a cabinet archive",
}
_PDF = b"%PDF-"
_PDF_WITHIN = 1_024
"""Readers accept the header anywhere in the first kilobyte."""

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_HTML_START = re.compile(rb"<(!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_HTML_TAG = re.compile(rb"<(p|div|h[1-6]|table|ul|ol|article|section|span|br|a|title|meta)\b[^<>]*>", re.IGNORECASE)
_CONTROL = frozenset(range(32)) - frozenset(b"\t\n\r\f\x1b")


def sniff(head: bytes, name: str, declared: str) -> MediaType:
    """The type to parse a file as, from its first `HEAD_BYTES`, its name and the declared type.

    Raises InvalidInputError `EmptyFile`, and UnsupportedTypeError with code `ExecutableFile`, `ArchiveFile`,
    `UnsupportedType` or `TypeMismatch` (the file lies). Messages name types, never the file.
    """
    if not head:
        raise InvalidInputError("the file is empty; upload one with content", code="EmptyFile")
    _refuse(head, _EXECUTABLES, "ExecutableFile", "executables are never accepted")
    _refuse(head, _ARCHIVES, "ArchiveFile", "unpack it and upload the documents in it")
    claimed = claimed_type(name, declared)
    found = _found_type(head, claimed)
    if claimed is not None and claimed != found:
        raise UnsupportedTypeError(
            f"the file says it is {claimed}, but its content is {found}; correct the type or the file",
            code="TypeMismatch",
        )
    return found


def claimed_type(name: str, declared: str) -> MediaType | None:
    """What the uploader says it is: the declared type, else the extension, else nothing.

    `text/plain` is what tools send for anything with letters in it, so a more telling extension wins over it. Raises
    UnsupportedTypeError for a declared type outside the list.
    """
    media_type = declared.partition(";")[0].strip().lower()
    by_name = _EXTENSIONS.get(PurePath(name).suffix.lower())
    if media_type in _UNSAID:
        return by_name
    media_type = _ALIASES.get(media_type, media_type)
    if not is_supported(media_type):
        raise UnsupportedTypeError(
            f"documents of type {media_type} are not supported; supported are: {', '.join(MEDIA_TYPES)}"
        )
    if media_type == "text/plain" and by_name is not None:
        return by_name
    return media_type


def is_supported(media_type: str) -> TypeGuard[MediaType]:
    return media_type in MEDIA_TYPES


def _refuse(head: bytes, signatures: dict[bytes, str], code: str, advice: str) -> None:
    for signature, what in signatures.items():
        if head.startswith(signature):
            raise UnsupportedTypeError(f"the file is {what}; {advice}", code=code)
    if code == "ArchiveFile" and head[257:262] == b"ustar":
        raise UnsupportedTypeError(f"the file is a tar archive; {advice}", code=code)


def _found_type(head: bytes, claimed: MediaType | None) -> MediaType:
    if _PDF in head[:_PDF_WITHIN]:
        return "application/pdf"
    if not _is_text(head):
        raise UnsupportedTypeError(_describe_binary(head, claimed))
    if _HTML_START.match(_skip_prolog(head)) or (
        claimed == "text/html" and (_HTML_TAG.search(head) or head.startswith(_UTF16))
    ):
        return claimed if claimed in {"text/plain", "text/markdown"} else "text/html"
    return "text/markdown" if claimed == "text/markdown" else "text/plain"


def _skip_prolog(head: bytes) -> bytes:
    """The head behind an XML declaration and comments, which may stand before `<html>`."""
    rest = head.removeprefix(codecs.BOM_UTF8).lstrip()
    for opening, closing in ((b"<?", b"?>"), (b"<!--", b"-->")):
        while rest.startswith(opening):
            rest = rest.partition(closing)[2].lstrip()
    return rest


def _is_text(head: bytes) -> bool:
    """Whether the bytes could be text: marked UTF-16, or without NUL and with next to no control characters.

    Whether they are *valid* text is decided by the decoder, which names the offset.
    """
    if head.startswith(_UTF16):
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
