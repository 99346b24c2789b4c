"""Files that are two things at once, and documents that act when they are opened.

Originals are kept for people to download, so a document that would run something on their machine is none, even where
nobody runs it here. What a form does with a field that somebody fills in (a date that is checked) is left alone.
"""

import re
from collections.abc import Iterator

from dreamhub.domain.media_types import MediaType
from dreamhub.errors import InvalidInputError, UnsupportedTypeError
from dreamhub_worker.pdf_objects import PdfObjects

_END_OF_ZIP, _END_SIZE = b"PK\x05\x06", 22
_COMMENT_BYTES = 65_535
_END_OF_PDF = b"%%EOF"
_BEHIND_PDF = 1_024
"""What readers accept behind the end; mail servers and scanners leave some lines there."""
_PADDING = b"\0\t\n\r\x1a "

_LAUNCH = re.compile(rb"/S\s*/Launch\b")
_NAMED_SCRIPTS = re.compile(rb"/JavaScript\s*(?:<<|\d+\s+\d+\s+R\b)")
"""The key of a table of scripts that run at opening; an action's `/S /JavaScript` is followed by a key."""
_AT_OPENING = re.compile(rb"/OpenAction\s*(?=<<|\d+\s+\d+\s+R\b)")
_TRIGGERS = re.compile(rb"/AA\s*(?=<<|\d+\s+\d+\s+R\b)")
_RUNS_BY_ITSELF = re.compile(rb"/(?:O|WC|WS|DS|WP|DP|PO|PV)\s*(?=<<|\d+\s+\d+\s+R\b)")
"""Opened, closed, saved, printed, shown: of a document, a page or a field. Not what a person does with a field."""
_SCRIPT = re.compile(rb"/S\s*/JavaScript\b|/JS\b")


def check_disguise(data: bytes, media_type: MediaType) -> None:
    """Raises UnsupportedTypeError `PolyglotFile` or InvalidInputError `ActiveContent`.

    Office documents are not for here: `check_archive` and the sniffer judge them.
    """
    if media_type.startswith(("text/", "message/")) or media_type in {"application/json", "application/x-ndjson"}:
        _refuse_zip(data)
    elif media_type == "application/pdf":
        _refuse_zip(data)
        _refuse_tail(data)
        _refuse_active(data)


def _refuse_zip(data: bytes) -> None:
    """A zip is read from its end: it may have any beginning."""
    window = data[-_COMMENT_BYTES - _END_SIZE :]
    at = window.find(_END_OF_ZIP)
    while at >= 0:
        comment = int.from_bytes(window[at + 20 : at + _END_SIZE], "little")
        if at + _END_SIZE + comment == len(window):
            raise _polyglot("an archive")
        at = window.find(_END_OF_ZIP, at + 1)


def _refuse_tail(data: bytes) -> None:
    behind = data.rpartition(_END_OF_PDF)[2]
    if len(behind) < len(data) and len(behind.strip(_PADDING)) > _BEHIND_PDF:
        raise _polyglot("something behind its end")


def _refuse_active(data: bytes) -> None:
    objects = PdfObjects(data)
    for text in objects.texts():
        if _LAUNCH.search(text):
            raise _active("starts a program")
        if _NAMED_SCRIPTS.search(text) or any(_SCRIPT.search(action) for action in _automatic(objects, text)):
            raise _active("runs a script by itself")


def _automatic(objects: PdfObjects, text: bytes) -> Iterator[bytes]:
    """The actions that nobody asks for."""
    for opening in _AT_OPENING.finditer(text):
        yield from objects.values_at(text, opening.end())
    for triggers in _TRIGGERS.finditer(text):
        for table in objects.values_at(text, triggers.end()):
            for trigger in _RUNS_BY_ITSELF.finditer(table):
                yield from objects.values_at(table, trigger.end())


def _polyglot(what: str) -> UnsupportedTypeError:
    return UnsupportedTypeError(
        f"the file is two formats at once: it ends as {what}; export it again", code="PolyglotFile"
    )


def _active(what: str) -> InvalidInputError:
    return InvalidInputError(f"the PDF {what}; print it into a new PDF and upload that", code="ActiveContent")
