"""Excel: a sheet is a section under its name, its tables in pieces under repeated headers, comments behind them.

Values are what was last calculated; a formula whose result was never stored has none. What is formatted as a share or a
date is shown so. Sheets that Excel's own menu can show are read, marked as hidden; others are machinery.
"""

import warnings
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from io import BytesIO
from typing import Any
from xml.etree.ElementTree import ParseError

from lxml.etree import XMLSyntaxError
from openpyxl import Workbook, load_workbook
from openpyxl.worksheet._read_only import ReadOnlyWorksheet

from dreamhub_worker.extract.draft import Draft
from dreamhub_worker.extract.extracted import Extracted
from dreamhub_worker.extract.package import Package, attribute, child, corrupt_error, local
from dreamhub_worker.extract.rows import RowWriter
from dreamhub_worker.extract.text import check_length

MAX_ROWS = 1_048_576
"""Excel's own limit."""
_BROKEN = (
    *(LookupError, ValueError, TypeError, AttributeError, OverflowError, OSError),
    *(zipfile.BadZipFile, ParseError, XMLSyntaxError),
)
"""What openpyxl lets out when it meets a workbook that breaks the rules."""
_ERRORS = frozenset({"#N/A", "#REF!", "#NAME?", "#DIV/0!", "#NULL!", "#NUM!", "#VALUE!"})
_THREADED = "Comment:\n"
"""Ends the boilerplate that Excel writes for programs that know no threads."""


def extract_xlsx(data: bytes) -> Extracted:
    """Raises InvalidInputError `CorruptOffice` or `NoText`, TooLargeError, and what `Package.open` refuses."""
    package = Package.open(data)
    comments = dict(_comments(package))
    draft = Draft()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about features that do not matter here
        workbook = _open(data)
        for number, name in enumerate(workbook.sheetnames, 1):
            sheet: Any = workbook[name]
            if isinstance(sheet, ReadOnlyWorksheet) and sheet.sheet_state != "veryHidden":
                hidden = " (hidden)" if sheet.sheet_state == "hidden" else ""
                draft.place("sheet", number)
                draft.cut()
                _write_rows(draft, sheet, name + hidden)
                for comment in comments.get(name, ()):
                    draft.block(comment)
    return draft.finish(package.core_title(), titled=False)


def _open(data: bytes) -> Workbook:
    try:
        return load_workbook(BytesIO(data), read_only=True, data_only=True, keep_links=False)
    except _BROKEN as error:
        raise corrupt_error() from error


def _write_rows(draft: Draft, sheet: Any, heading: str) -> None:
    """Nothing for a sheet without any."""
    sheet.reset_dimensions()  # what a file says of them is often wrong
    writer = RowWriter(draft)
    characters = 0
    for number, cells in enumerate(_rows(sheet), 1):
        if number > MAX_ROWS:  # openpyxl makes up all rows before the one that a file names
            raise corrupt_error()
        if not any(cells):
            writer.close()
            continue
        if not characters:
            draft.heading(1, heading)
        characters += sum(map(len, cells))
        check_length(characters)
        writer.add(number, cells)
    writer.close()


def _rows(sheet: Any) -> Iterator[list[str]]:
    try:
        for row in sheet.iter_rows():
            yield [show_value(cell.value, cell.number_format) if cell.value is not None else "" for cell in row]
    except _BROKEN as error:
        raise corrupt_error() from error


def show_value(value: Any, number_format: str) -> str:
    match value:
        case bool():
            shown = str(value).upper()
        case datetime():
            shown = value.date().isoformat() if value.time() == time() else value.isoformat(" ", "minutes")
        case date() | time() | timedelta():
            shown = str(value)
        case int() | float() if "%" in number_format:
            shown = f"{value * 100:.10g}%"
        case float():
            shown = f"{value:.15g}"
        case _:
            shown = "" if value in _ERRORS else str(value).strip()
    return shown


def _comments(package: Package) -> Iterator[tuple[str, list[str]]]:
    """Of each sheet by name, with the cell and the author of each."""
    main = package.main_part()
    relations = package.relations(main)
    sheets = child(package.read(main), "sheets")
    for sheet in sheets if sheets is not None else ():
        ids = [str(value) for key, value in sheet.attrib.items() if str(key).endswith("}id")]
        relation = relations.get(ids[0]) if ids else None
        if relation is not None:
            parts = package.related(relation.target, "comments")
            yield sheet.get("name") or "", [comment for part in parts for comment in _read_comments(package, part)]


def _read_comments(package: Package, part: str) -> Iterator[str]:
    root = package.read(part)
    listed = child(root, "authors")
    authors = [(author.text or "").strip() for author in listed] if listed is not None else []
    comments = child(root, "commentList")
    for comment in comments if comments is not None else ():
        text = "".join(item.text or "" for item in comment.iter() if local(item) == "t")
        text = " ".join(text.rpartition(_THREADED)[2].split())
        index = attribute(comment, "authorId") or ""
        author = authors[int(index)] if index.isdecimal() and int(index) < len(authors) else ""
        by = f" by {author}" if author and not author.startswith("tc=") else ""
        if text:
            yield f"[Comment at {comment.get('ref')}{by}: {text}]"
