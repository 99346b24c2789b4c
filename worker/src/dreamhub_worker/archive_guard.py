"""Zip-based documents are judged as archives before a parser opens them.

Turned away are small files that unfold into large ones, and archives that two readers would read differently. Limits
rest on what the directory says, which is believed because it is compared with the entries' own headers: readers here
unpack no more of an entry than it promises, and its checksum must fit.
"""

import codecs
import io
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from dreamhub.errors import InvalidInputError, TooLargeError, UnsupportedTypeError
from dreamhub_worker.xml_guard import check_xml_pieces

MAX_ENTRIES = 10_000
"""A presentation of 500 slides with pictures and notes has about 3,000. Each costs memory before it is looked at."""

MAX_ENTRY_BYTES = 256 * 2**20
"""Unpacked. The sheet of a million rows by ten columns that spreadsheets allow has about 200 MiB of XML."""

MAX_TOTAL_BYTES = 512 * 2**20
"""Unpacked, all entries together, documents inside the document included."""

MAX_RATIO = 100
"""Unpacked to packed. XML of real documents packs 5 to 30 times, sheets of one repeated row up to 80; deflate can do
1,032. Apache POI refuses at the same 100."""

FREE_ENTRY_BYTES, FREE_TOTAL_BYTES = 2**20, 16 * 2**20
"""Up to here an entry, and all together, may pack as well as they like: empty sheets do, and do no harm."""

MAX_NESTING = 2
"""A presentation (in a report) with a chart, whose numbers are a workbook. No more is ever needed."""

MAX_NAME = 1_024
"""Bytes of an entry's path."""

_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_LOCAL_MAGIC, _DIRECTORY_MAGIC, _END_MAGIC = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_ZIP64 = 0xFFFFFFFF
_ENCRYPTED, _SIZES_FOLLOW, _STRONGLY_ENCRYPTED, _NAME_IS_UTF8 = 0x1, 0x8, 0x40, 0x800
_DECISIVE = _ENCRYPTED | _SIZES_FOLLOW | _STRONGLY_ENCRYPTED | _NAME_IS_UTF8
"""The other flags tell how hard the packer tried."""
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""What the Open Packaging Conventions allow."""

_HEAD_BYTES = 512
_PIECE = 2**20
_XML_NAME = re.compile(r"\.(xml|rels|vml|xhtml|svg)$", re.IGNORECASE)
_ODD_XML = (b"\x4c\x6f\xa7\x94", b"\x00\x00\x00<", b"<\x00\x00\x00")
"""`<?xm` in EBCDIC and `<` in UTF-32, which parsers know and this guard does not: nobody writes documents so."""
_XML_STARTS = (b"<", b"\x00<", codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_ARCHIVES = (
    b"PK\x05\x06",
    b"\x1f\x8b\x08",
    b"BZh",
    b"\xfd7zXZ\x00",
    b"\x28\xb5\x2f\xfd",
    b"7z\xbc\xaf\x27\x1c",
    b"Rar!\x1a\x07",
    b"MSCF",
    b"!<arch>\n",
)
_EXECUTABLES = (
    b"\x7fELF",
    b"\xfe\xed\xfa\xce",
    b"\xfe\xed\xfa\xcf",
    b"\xce\xfa\xed\xfe",
    b"\xcf\xfa\xed\xfe",
    b"dex\n",
)
_DOS_STUBS = (b"PE\x00\x00", b"DOS mode", b"NE\x00\x00", b"LE\x00\x00")
"""`MZ` alone begins too many harmless files."""


@dataclass
class _Budget:
    """What may still be unpacked, over all levels."""

    left: int = MAX_TOTAL_BYTES

    def spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise _too_large(f"unfolds to more than {MAX_TOTAL_BYTES // 2**20} MiB")


def check_archive(data: bytes) -> None:
    """Whether a zip-based document may be opened.

    Raises TooLargeError `ArchiveTooLarge` above the limits; InvalidInputError `ArchiveBomb` (ratio, overlap),
    `NestedArchive`, `UnsafeArchive` (paths, links, names that occur twice, bytes between or behind), `EncryptedOffice`,
    `CorruptDocument` (headers disagree, a checksum is wrong, XML is not well formed), `UnsafeXML` or
    `ExtractionTooDeep`; UnsupportedTypeError `ExecutableFile` or `MacroEnabled` for what it carries.
    """
    _check(data, 0, _Budget())


def _check(data: bytes, depth: int, budget: _Budget) -> None:
    if depth > MAX_NESTING:
        raise InvalidInputError(
            f"the document holds documents inside each other, more than {MAX_NESTING} deep; upload them one by one",
            code="NestedArchive",
        )
    try:
        with _open(data) as archive:
            entries = archive.infolist()
            _check_names(entries)
            _check_sizes(entries, len(data), budget)
            _check_layout(data, entries, archive.start_dir)
            for entry in entries:
                _check_entry(archive, entry, depth, budget)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, struct.error, ValueError) as error:
        raise _corrupt("cannot be unpacked") from error


def _open(data: bytes) -> zipfile.ZipFile:
    """Counts before it reads: the directory of millions of entries would fill the memory."""
    if data.count(_DIRECTORY_MAGIC) > 2 * MAX_ENTRIES:
        raise _too_large(f"has more than {MAX_ENTRIES:,} parts")
    archive = zipfile.ZipFile(io.BytesIO(data))
    if len(archive.infolist()) > MAX_ENTRIES:
        raise _too_large(f"has more than {MAX_ENTRIES:,} parts")
    return archive


def _check_names(entries: Sequence[zipfile.ZipInfo]) -> None:
    """No way out of the folder, and each name once: of two, readers take different ones."""
    seen: set[str] = set()
    for entry in entries:
        name = entry.orig_filename
        folded = name.casefold()
        if folded in seen:
            raise _unsafe("holds two parts of one name")
        seen.add(folded)
        parts = name.rstrip("/").split("/")
        if len(name) > MAX_NAME or not name.isprintable() or "\\" in name or ":" in name:
            raise _unsafe("holds a part with an impossible name")
        if any(part in {"", ".", ".."} for part in parts):
            raise _unsafe("holds a part whose path leads elsewhere")
        if stat.S_IFMT(entry.external_attr >> 16) not in {0, stat.S_IFREG, stat.S_IFDIR}:
            raise _unsafe("holds a link or a device")


def _check_sizes(entries: Sequence[zipfile.ZipInfo], packed: int, budget: _Budget) -> None:
    total = 0
    for entry in entries:
        if entry.flag_bits & (_ENCRYPTED | _STRONGLY_ENCRYPTED):
            raise InvalidInputError(
                "the document is encrypted; save it without a password and upload it again", code="EncryptedOffice"
            )
        if entry.compress_type not in _METHODS:
            raise _corrupt("is packed by a method that its format does not know")
        if entry.file_size > MAX_ENTRY_BYTES:
            raise _too_large(f"has a part that unfolds to more than {MAX_ENTRY_BYTES // 2**20} MiB")
        _check_ratio(entry.file_size, entry.compress_size, FREE_ENTRY_BYTES)
        total += entry.file_size
    budget.spend(total)
    _check_ratio(total, packed, FREE_TOTAL_BYTES)


def _check_ratio(unpacked: int, packed: int, free: int) -> None:
    if unpacked > free and unpacked > MAX_RATIO * packed:
        raise InvalidInputError(
            f"the document unfolds to more than {MAX_RATIO} times its size, as only bombs do; save it again",
            code="ArchiveBomb",
        )


def _check_layout(data: bytes, entries: Sequence[zipfile.ZipInfo], directory: int) -> None:
    """Entries begin at the first byte, lie one behind the other up to the directory, and say what the directory says.

    What lies before, between headers or behind is where a second file hides; entries that overlap unfold the same bytes
    again and again.
    """
    if data.rfind(_END_MAGIC) + 22 != len(data):
        raise _unsafe("goes on behind its end")
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.header_offset < end:
            raise InvalidInputError("the document's parts overlap, as only in bombs; save it again", code="ArchiveBomb")
        if end == 0 and entry.header_offset != 0:
            raise _unsafe("begins with something else")
        end = _end_of(data, entry)
    if end > directory:
        raise _corrupt("has a directory that points at itself")


def _end_of(data: bytes, entry: zipfile.ZipInfo) -> int:
    """Where the entry's bytes end, after a comparison of its header with the directory."""
    start = entry.header_offset
    fields = _LOCAL_HEADER.unpack_from(data, start)
    magic, flags, method, told = fields[0], fields[2], fields[3], fields[6:9]
    name_size, extra_size = int(fields[9]), int(fields[10])
    behind = start + _LOCAL_HEADER.size
    named = entry.orig_filename.encode("utf-8" if entry.flag_bits & _NAME_IS_UTF8 else "cp437")
    accepted = {_ZIP64, 0} if flags & _SIZES_FOLLOW else {_ZIP64}
    agrees = (
        (magic, method) == (_LOCAL_MAGIC, entry.compress_type)
        and flags & _DECISIVE == entry.flag_bits & _DECISIVE
        and data[behind : behind + name_size] == named
        and all(
            here == there or here in accepted
            for here, there in zip(told, (entry.CRC, entry.compress_size, entry.file_size), strict=True)
        )
    )
    if not agrees:
        raise _corrupt("says one thing in its directory and another in its parts")
    return behind + name_size + extra_size + entry.compress_size


def _check_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, depth: int, budget: _Budget) -> None:
    if entry.is_dir():
        return
    if entry.filename.lower().endswith("vbaproject.bin"):
        raise UnsupportedTypeError("the document holds macros; save it without them", code="MacroEnabled")
    with archive.open(entry) as file:
        head = file.read(_HEAD_BYTES)
        if _is_executable(head):
            raise UnsupportedTypeError("the document holds an executable; take it out", code="ExecutableFile")
        if _may_be_xml(entry.filename, head):
            check_xml_pieces(_pieces(head, file))
        elif head.startswith(_LOCAL_MAGIC) and "embeddings" in entry.filename.lower().split("/"):
            _check(head + file.read(), depth + 1, budget)
        elif head.startswith((_LOCAL_MAGIC, *_ARCHIVES)) or head[257:262] == b"ustar":
            raise InvalidInputError(
                "the document holds an archive; take it out and upload its documents one by one", code="NestedArchive"
            )


def _is_executable(head: bytes) -> bool:
    return head.startswith(_EXECUTABLES) or (head.startswith(b"MZ") and any(stub in head for stub in _DOS_STUBS))


def _may_be_xml(name: str, head: bytes) -> bool:
    """By its name or by its first letter, for a part's name need not tell. Raises InvalidInputError `UnsafeXML`."""
    if head.startswith(_ODD_XML):
        raise InvalidInputError(
            "the document holds XML in an encoding that its format forbids; save it again", code="UnsafeXML"
        )
    letters = head.removeprefix(codecs.BOM_UTF8).lstrip(b" \t\r\n")
    is_blank = bool(head) and not letters
    return bool(_XML_NAME.search(name)) or is_blank or letters.startswith(_XML_STARTS)


def _pieces(head: bytes, rest: IO[bytes]) -> Iterator[bytes]:
    yield head
    while piece := rest.read(_PIECE):
        yield piece


def _too_large(how: str) -> TooLargeError:
    return TooLargeError(f"the document {how}; split it", code="ArchiveTooLarge")


def _unsafe(how: str) -> InvalidInputError:
    return InvalidInputError(f"the document {how}; open and save it again", code="UnsafeArchive")


def _corrupt(how: str) -> InvalidInputError:
    return InvalidInputError(f"the document {how}; open and save it again", code="CorruptDocument")
