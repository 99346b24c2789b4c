"""Formats made of letters: broken encodings, depths, floods, and what has no text at all."""

import json
from collections.abc import Callable, Iterator

from tests.hostile.case import Case, case
from tests.hostile.programs import PROGRAMS

MEGABYTE = 2**20

ENCODINGS = {
    "overlong slash": b"etc\xc0\xafpasswd " * 9,
    "lone surrogate in UTF-8": b"words \xed\xa0\x80 words",
    "surrogates in UTF-8": b"words \xed\xa0\xbd\xed\xb8\x80 words",
    "beyond Unicode": b"words \xf4\x90\x80\x80 words",
    "five bytes": b"words \xf8\x88\x80\x80\x80 words",
    "cut character": b"words words \xe2\x82",
    "UTF-16 of odd length": b"\xff\xfew\x00o\x00r\x00d\x00s",
    "UTF-16 with half a pair": b"\xff\xfew\x00\x00\xd8o\x00",
    "UTF-16 pair backwards": b"\xfe\xff\xdc\x00\xd8\x00\x00w",
    "UTF-32 beyond Unicode": b"\xff\xfe\x00\x00\xff\xff\xff\x7f",
    "control characters": bytes(range(1, 9)) * 500,
    "rubbish behind an honest head": b"honest words\n" * 800 + bytes(range(128, 256)) * 90,
    "deletes": b"\x7f" * 9_000,
}

BLANK = {
    "nothing": b"",
    "blanks": b" \t\r\n" * 1_000,
    "a mark alone": b"\xef\xbb\xbf",
    "a UTF-16 mark alone": b"\xff\xfe",
    "NULs in UTF-16": b"\xff\xfe" + bytes(2_000),
}

JSON = {
    "arrays 100,000 deep": b"[" * 100_000 + b"]" * 100_000,
    "arrays 100,000 deep, left open": b"[" * 100_000,
    "objects 50,000 deep": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "arrays 900 deep": b"[" * 900 + b'"words"' + b"]" * 900,
    "objects 300 deep": b'{"a":' * 300 + b"1" + b"}" * 300,
    "no value": b'{"a": undefined}',
    "two values": b'{"a": 1}{"b": 2}',
    "comment": b'{"a": 1 /* words */}',
    "number without end": b'{"a": 1' + b"0" * 100_000,
    "not a number": b'{"a": NaN}',
    "lone surrogate": b'{"a": "\\ud800"}',
    "control character in a string": b'{"a": "\x01"}',
    "cut": json.dumps({"a": ["words"] * 99}).encode()[:-9],
    "trailing comma": b'{"a": [1,2,],}',
}

CSV = {
    "one field of twenty megabytes": b'a,b\n"' + b"words " * 3_500_000 + b'",1\n',
    "one line of two million fields": b"a,b\n" + b"1," * 2_000_000,
    "a quote that is never closed": b'a,b\n1,"' + b"words\n" * 400_000,
    "nothing but delimiters": b",,,,\n" * 9_000,
}

CALENDARS = {
    "no calendar": b"BEGIN:VCALENDAR\r\n" + b"rubbish\r\n" * 9,
    "never closed": b"BEGIN:VCALENDAR\r\n" + b"BEGIN:VEVENT\r\n" * 5_000,
    "no entries": b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n",
    "closed twice": b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\nEND:VCALENDAR\r\n",
    "entries without end": b"BEGIN:VCALENDAR\r\n" + b"BEGIN:VEVENT\r\nEND:VEVENT\r\n" * 60_000 + b"END:VCALENDAR\r\n",
}

HTML = {
    "nothing to read": b"<html><body><script>alert(1)</script></body></html>",
    "a form that asks for passwords": b"<html><body><form action='/x'><input type=password></form></body></html>",
    "nothing but a frame": b"<html><body><iframe src='file:///etc/passwd'></iframe></body></html>",
    "nothing but styles": b"<html><head><style>" + b"a{b:c}" * 90_000 + b"</style></head><body></body></html>",
    "elements 200,000 deep, empty": b"<html><body>" + b"<div>" * 200_000,
    "attributes without end": b"<html><body><p " + b"a=1 " * 500_000 + b"></p></body></html>",
    "comment without end": b"<html><body><!--" + b"words " * 500_000,
}

MESSAGES = {
    "a header of two megabytes": b"From: a@b.example\nSubject: x\nX-A: " + b"a" * 2 * MEGABYTE + b"\n\nwords\n",
    "two thousand parts": b"From: a@b.example\nSubject: x\nContent-Type: multipart/mixed; boundary=b\n\n"
    + b"--b\nContent-Type: application/octet-stream\n\nx\n" * 2_000
    + b"--b--\n",
    "no message": b"rubbish without a colon\n" * 50,
}


Family = tuple[str, dict[str, bytes], str, str]

FAMILIES: tuple[Family, ...] = (
    ("text", ENCODINGS, "notes.txt", "InvalidEncoding NotText UnsupportedType"),
    ("markdown", ENCODINGS, "notes.md", "InvalidEncoding NotText UnsupportedType"),
    ("blank", BLANK, "notes.txt", "EmptyFile NoText NotText UnsupportedType InvalidEncoding"),
    ("json", JSON, "data.json", "BadJSON ExtractionTooDeep InvalidEncoding UnsupportedType"),
    ("csv", CSV, "data.csv", "BadCSV TooLarge NoText"),
    ("calendar", CALENDARS, "dates.ics", "BadCalendar NoText TooLarge ExtractionTooDeep"),
    ("html", HTML, "page.html", "NoText BadHTML ExtractionTooDeep ExtractionTimeout TypeMismatch"),
    ("message", MESSAGES, "mail.eml", "BadMail TooLarge TypeMismatch"),
)

LIES: dict[str, tuple[str, bytes]] = {
    "words as PDF": ("report.pdf", b"words"),
    "words as Word": ("report.docx", b"words"),
    "words as Excel": ("figures.xlsx", b"words"),
    "HTML as PDF": ("report.pdf", b"<html><body>words</body></html>"),
    "HTML as JSON": ("data.json", b"<html><body>words</body></html>"),
    "words as calendar": ("dates.ics", b"words"),
    "words as HTML": ("page.html", b"words"),
    "PDF as HTML": ("page.html", b"%PDF-1.7\nwords"),
    "PDF as words": ("notes.txt", b"%PDF-1.7\nwords"),
}

DECLARED: dict[str, Callable[[], bytes]] = {
    "application/x-msdownload": lambda: PROGRAMS["Windows"],
    "application/x-sh": lambda: b"echo words\n",
    "image/svg+xml": lambda: b"<svg>words</svg>",
    "application/xml": lambda: b"<a>words</a>",
    "application/javascript": lambda: b"alert(1)",
    "application/vnd.ms-word.document.macroEnabled.12": lambda: b"words",
    "application/rtf": lambda: b"words",
    "multipart/form-data": lambda: b"words",
}


def cases() -> Iterator[Case]:
    for family, files, name, codes in FAMILIES:
        for title, data in files.items():
            yield case(f"{family}: {title}", name, codes, data)
    for title, (name, data) in LIES.items():
        yield case(title, name, "TypeMismatch", data)
    for declared, build in DECLARED.items():
        codes = "UnsupportedType MacroEnabled ExecutableFile"
        yield case(f"declared as {declared}", "upload-17", codes, build, declared)
