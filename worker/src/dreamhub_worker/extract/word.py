"""Word: paragraphs, lists and tables under their headings, with notes and comments where they are anchored.

The XML is walked here: python-docx gives no text of content controls, tracked insertions, text boxes and notes. Pages
are known where Word has written down where it last broke them. Headers and footers are left out: they repeat.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from lxml.etree import _Element as Element

from dreamhub_worker.extract.draft import Draft
from dreamhub_worker.extract.extracted import Extracted
from dreamhub_worker.extract.package import Package, attribute, child, children, corrupt_error, local
from dreamhub_worker.extract.tables import cut_columns
from dreamhub_worker.extract.word_text import Paragraph, Styles, paragraphs_within, read_paragraph

_CONTAINERS = frozenset({"sdt", "sdtContent", "customXml", "ins", "moveTo", "smartTag"})
"""What only wraps blocks."""
_MAX_DEPTH = 50
_MAX_SPAN = 100


def extract_docx(data: bytes) -> Extracted:
    """Raises InvalidInputError `CorruptOffice` or `NoText`, and what `Package.open` refuses."""
    package = Package.open(data)
    main = package.main_part()
    body = child(package.read(main), "body")
    if body is None:
        raise corrupt_error()
    writer = _Writer(Styles(_read_related(package, main, "styles")), _read_notes(package, main))
    if any(local(element) == "lastRenderedPageBreak" for element in body.iter()):
        writer.page = 1
    writer.write(body)
    return writer.draft.finish(package.core_title() if not writer.has_headings else None)


def _read_related(package: Package, main: str, kind: str) -> Element | None:
    return next((package.read(part) for part in package.related(main, kind)), None)


def _read_notes(package: Package, main: str) -> dict[tuple[str, str], str]:
    """Kind and id -> what is shown. Notes are numbered where they are referred to, comments carry their author."""
    notes: dict[tuple[str, str], str] = {}
    for kind in ("footnote", "endnote", "comment"):
        root = _read_related(package, main, f"{kind}s")
        for note in children(root, kind) if root is not None else ():
            text = " ".join(filter(None, (read_paragraph(item).text for item in paragraphs_within(note))))
            author = attribute(note, "author") if kind == "comment" else None
            notes[kind, attribute(note, "id") or ""] = f"Comment by {author}: {text}" if author else text
    return notes


@dataclass
class _Writer:
    styles: Styles
    notes: dict[tuple[str, str], str]
    draft: Draft = field(default_factory=Draft)
    page: int = 0
    """The current one; 0 where pages are not known."""
    has_headings: bool = False
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _placed: int = 0
    _list: list[str] = field(default_factory=list)

    def write(self, body: Element) -> None:
        for block in _blocks(body):
            if local(block) == "tbl":
                self._write_table(block)
            else:
                self._write_paragraph(block)
        self._end_list()

    def _write_paragraph(self, element: Element) -> None:
        if self.styles.is_contents(element):
            return
        paragraph = read_paragraph(element)
        self._turn(paragraph.breaks_before)
        level = self.styles.heading_level(element)
        depth = self.styles.list_depth(element)
        remarks = self._remarks(paragraph)
        if depth is not None and level is None and paragraph.text:
            self._list.append("  " * min(depth, 9) + "- " + paragraph.text)
        elif paragraph.text:
            self._end_list()
            self._place()
            self._write_text(level, paragraph.text)
        if remarks or paragraph.boxes:
            self._end_list()
        for remark in remarks:
            self.draft.block(remark)
        for box in paragraph.boxes:
            self.write(box)
        self._turn(paragraph.breaks_inside)

    def _write_text(self, level: int | None, text: str) -> None:
        if level is None:
            self.draft.block(text)
        else:
            self.has_headings = True
            self.draft.heading(level, text)

    def _write_table(self, table: Element) -> None:
        self._end_list()
        grid, remarks, breaks = self._read_table(table)
        rows = cut_columns(grid)
        self._place()
        if rows and max(map(len, rows)) == 1:  # a frame around text
            for row in rows:
                self.draft.block(row[0])
        elif rows:
            self.draft.table(rows[0], rows[1:]) if len(rows) > 1 else self.draft.block(" | ".join(rows[0]))
        for remark in remarks:
            self.draft.block(remark)
        self._turn(breaks)

    def _read_table(self, table: Element) -> tuple[list[list[str]], list[str], int]:
        """The cells, what hangs on them, and how many pages end within."""
        grid: list[list[str]] = []
        remarks: list[str] = []
        breaks = 0
        for row in _wrapped(table, "tr"):
            cells: list[str] = []
            for cell in _wrapped(row, "tc"):
                paragraphs = [read_paragraph(item) for item in paragraphs_within(cell)]
                remarks += [remark for paragraph in paragraphs for remark in self._remarks(paragraph)]
                breaks += sum(paragraph.breaks_before + paragraph.breaks_inside for paragraph in paragraphs)
                text = " ".join(paragraph.text for paragraph in paragraphs if paragraph.text)
                above = grid[-1] if grid else []
                if _continues(cell) and len(cells) < len(above):
                    text = above[len(cells)]
                cells += [text] + [""] * (_span(cell) - 1)
            grid.append(cells)
        return grid, remarks, breaks

    def _remarks(self, paragraph: Paragraph) -> list[str]:
        found = []
        for kind, key in paragraph.notes:
            text = self.notes.get((kind, key), "")
            if text:
                found.append(f"[{text}]" if kind == "comment" else f"[Note {next(self._numbers)}: {text}]")
        return found

    def _end_list(self) -> None:
        if self._list:
            self._place()
            self.draft.block("\n".join(self._list))
            self._list.clear()

    def _place(self) -> None:
        if self.page != self._placed:
            self.draft.place("page", self.page)
            self._placed = self.page

    def _turn(self, pages: int) -> None:
        if self.page and pages:
            self._end_list()
            self.page += pages


def _blocks(parent: Element, depth: int = 0) -> Iterator[Element]:
    """Paragraphs and tables in order, whatever wraps them."""
    for element in parent:
        name = local(element)
        if name in {"p", "tbl"}:
            yield element
        elif name in _CONTAINERS and depth < _MAX_DEPTH:
            yield from _blocks(element, depth + 1)


def _wrapped(parent: Element, name: str, depth: int = 0) -> Iterator[Element]:
    """Rows of a table or cells of a row; tracked deletions of rows are left out."""
    for element in parent:
        found = local(element)
        if found == name and child(element, "trPr", "del") is None:
            yield element
        elif found in _CONTAINERS and depth < _MAX_DEPTH:
            yield from _wrapped(element, name, depth + 1)


def _continues(cell: Element) -> bool:
    """Whether it is merged with the one above."""
    merge = child(cell, "tcPr", "vMerge")
    return merge is not None and (attribute(merge, "val") or "continue") == "continue"


def _span(cell: Element) -> int:
    span = attribute(child(cell, "tcPr", "gridSpan"), "val") or "1"
    return min(int(span), _MAX_SPAN) if span.isdecimal() and int(span) else 1
