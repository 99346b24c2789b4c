"""What lies in a zip or in an old compound file: an Office document that can be read, or something that is refused.

Only directories are looked at, nothing is unpacked: the parts of a zip are known from the end of the file.
"""

import io
import re
import zipfile
from collections.abc import Sequence
from typing import Literal

from dreamhub.errors import InvalidInputError, UnsupportedTypeError

OfficeType = Literal[
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
]
DOCX: OfficeType = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PPTX: OfficeType = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
XLSX: OfficeType = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
OLE_START = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

TAIL_BYTES = 512 * 1024
"""How much of a zip's end is looked at: room for the directory of some five thousand parts."""

_CONTENT_TYPES = "[Content_Types].xml"
_MAIN_PARTS: tuple[tuple[re.Pattern[str], OfficeType], ...] = (
    (re.compile(r"word/document\d*\.xml"), DOCX),
    (re.compile(r"ppt/presentation\d*\.xml"), PPTX),
    (re.compile(r"xl/workbook\d*\.xml"), XLSX),
)
_MACROS = re.compile(r"(?i)(.*/)?(vbaProject\w*\.bin|vbaData\.xml|macrosheets/.+)")
_BINARY_WORKBOOK = "xl/workbook.bin"
_ENCRYPTED_FLAG = 0x1
_ENCRYPTED_STREAMS = tuple(name.encode("utf-16-le") for name in ("EncryptedPackage", "EncryptionInfo"))


def office_type(tail: bytes) -> OfficeType:
    """The kind of Office document that a zip is, from its last `TAIL_BYTES` (or all of a shorter one).

    Raises UnsupportedTypeError `MacroEnabled`, `ArchiveFile` (any other zip) or `UnsupportedType` (an Office file of
    another kind); InvalidInputError `CorruptOffice` (no directory that can be read) or `EncryptedOffice`.
    """
    entries = _read_directory(tail)
    names = [entry.filename for entry in entries]
    if _CONTENT_TYPES not in names:
        raise UnsupportedTypeError(
            "the file is a zip archive; unpack it and upload the documents in it", code="ArchiveFile"
        )
    if any(_MACROS.fullmatch(name) for name in names):
        raise macro_error()
    if any(entry.flag_bits & _ENCRYPTED_FLAG for entry in entries):
        raise encrypted_error()
    return _main_type(names)


def _read_directory(tail: bytes) -> Sequence[zipfile.ZipInfo]:
    """`zipfile` takes what is missing in front for a shift of all offsets, which the names do not need."""
    try:
        with zipfile.ZipFile(io.BytesIO(tail)) as archive:
            return archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError) as error:
        raise InvalidInputError(
            "the file begins like a zip archive or an Office document, but its directory is damaged or has thousands of"
            " entries; export it again",
            code="CorruptOffice",
        ) from error


def _main_type(names: Sequence[str]) -> OfficeType:
    found = {kind for pattern, kind in _MAIN_PARTS for name in names if pattern.fullmatch(name)}
    if len(found) == 1:
        return found.pop()
    if _BINARY_WORKBOOK in names:
        raise UnsupportedTypeError("the file is a binary Excel workbook; save it as .xlsx and upload it again")
    raise UnsupportedTypeError(
        "the file is an Office package, but no Word, PowerPoint or Excel document; save it as .docx, .pptx or .xlsx"
    )


def refuse_compound(data: bytes) -> None:
    """Raises for every OLE compound file, of which `data` is as much as is known.

    InvalidInputError `EncryptedOffice`: Office files with a password are kept in one. UnsupportedTypeError
    `LegacyOffice` for the rest: Word, Excel and PowerPoint before 2007, Outlook messages, installers.
    """
    if any(name in data for name in _ENCRYPTED_STREAMS):
        raise encrypted_error()
    raise UnsupportedTypeError(
        "the file is of the Office format from before 2007, or has a password; save it as .docx, .pptx or .xlsx without"
        " a password",
        code="LegacyOffice",
    )


def macro_error() -> UnsupportedTypeError:
    return UnsupportedTypeError(
        "the Office file holds macros; save it as .docx, .pptx or .xlsx without them", code="MacroEnabled"
    )


def encrypted_error() -> InvalidInputError:
    return InvalidInputError(
        "the Office file is encrypted; save it without a password and upload it again", code="EncryptedOffice"
    )
