"""Typesets the sample PDFs from their Markdown sources: `python -m hack.demo.pdf` writes them, `--check` compares.

The demo cites a document, a page and a section, so its PDFs must be real ones: several pages, an outline, headings
that differ from the text by size. Committing source and result keeps both reviewable; the same source gives the same
bytes (fixed date, no compression), and a test holds the two together.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fpdf import FPDF
from fpdf.outline import OutlineSection
from typing_extensions import override

SAMPLES = Path(__file__).resolve().parents[2] / "manifests" / "samples"
_DATE = datetime(2026, 1, 15, tzinfo=UTC)


@dataclass(frozen=True)
class Layout:
    """One PDF: the page's width and height in millimetres and the size of its body text in points."""

    name: str
    page_format: tuple[float, float]
    body: float

    @property
    def source(self) -> Path:
        return SAMPLES / "sources" / f"{self.name}.md"

    @property
    def target(self) -> Path:
        return SAMPLES / "documents" / f"{self.name}.pdf"


_A4 = (210.0, 297.0)
_A5 = (148.0, 210.0)

LAYOUTS = (
    Layout("aquasonde-5-manual", _A5, 10),
    Layout("employee-handbook", _A4, 11.5),
    Layout("calibration-laboratory", _A4, 11.5),
)


@dataclass(frozen=True)
class Heading:
    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    text: str


@dataclass(frozen=True)
class Table:
    rows: tuple[tuple[str, ...], ...]


Block = Heading | Paragraph | Table


def parse_blocks(markdown: str) -> Iterator[Block]:
    """The subset of Markdown that the sources use: headings, paragraphs and pipe tables, a blank line between them."""
    for block in markdown.strip().split("\n\n"):
        text = " ".join(block.split())
        if block.startswith("#"):
            marks, _, title = text.partition(" ")
            yield Heading(len(marks), title)
        elif block.startswith("|"):
            lines = [line for line in block.splitlines() if not line.startswith("| ---")]
            yield Table(tuple(tuple(cell.strip() for cell in line.strip("| ").split("|")) for line in lines))
        else:
            yield Paragraph(text)


class _Book(FPDF):
    """A page at a time, with the title and the page number at the foot as printed manuals have them."""

    def __init__(self, layout: Layout, title: str) -> None:
        super().__init__(format=layout.page_format)
        self.book_title = title
        self.body = layout.body
        self.set_compression(compress=False)
        self.set_creation_date(_DATE)
        self.set_producer("DreamHub samples")
        self.set_title(title)
        self.set_lang("en")
        self.set_margins(20, 18, 20)
        self.set_auto_page_break(auto=True, margin=20)

    @override
    def footer(self) -> None:
        self.set_y(-14)
        self.set_font("Helvetica", size=self.body * 0.75)
        self.cell(text=f"{self.book_title}  |  {self.page_no()}", w=0, align="C")

    def write_heading(self, heading: Heading) -> None:
        """Chapters open a page; a section stays with at least the first lines of its text."""
        size = self.body * {1: 2.2, 2: 1.6, 3: 1.2}[heading.level]
        if (heading.level == 2 and self.y > self.t_margin) or self.will_page_break(self.body * 2.2):
            self.add_page()
        self.set_font("Helvetica", style="B", size=size)
        if heading.level > 1:
            self.start_section(heading.text, level=heading.level - 2)
        self.multi_cell(0, size * 0.5, heading.text, align="L", new_x="LMARGIN", new_y="NEXT")
        self.ln(self.body * 0.18)

    def write_paragraph(self, paragraph: Paragraph) -> None:
        self.set_font("Helvetica", size=self.body)
        self.multi_cell(0, self.body * 0.5, paragraph.text, align="L", new_x="LMARGIN", new_y="NEXT")
        self.ln(self.body * 0.3)

    def write_table(self, table: Table) -> None:
        self.set_font("Helvetica", size=self.body * 0.9)
        with self.table(line_height=self.body * 0.6, text_align="LEFT") as rows:
            for row in table.rows:
                rows.row(row)
        self.ln(self.body * 0.3)


def render_pdf(markdown: str, layout: Layout) -> bytes:
    """The PDF of one source. The first block is the title and stands on a page with a table of contents."""
    blocks = list(parse_blocks(markdown))
    title = blocks[0]
    if not isinstance(title, Heading) or title.level != 1:
        raise ValueError(f"{layout.name}: the source must begin with a title, '# ...'")
    book = _Book(layout, title.text)
    book.add_page()
    cover = next(i for i, block in enumerate(blocks) if isinstance(block, Heading) and block.level == 2)
    for block in blocks[:cover]:
        _write(book, block)
    book.set_font("Helvetica", size=layout.body)
    book.insert_toc_placeholder(_write_contents)
    for block in blocks[cover:]:
        _write(book, block)
    return bytes(book.output())


def _write_contents(book: FPDF, outline: list[OutlineSection]) -> None:
    """The chapters with their pages: called by fpdf2 once all pages are known."""
    for section in outline:
        if section.level == 0:
            book.cell(w=book.epw - 12, h=7, text=section.name)
            book.cell(w=12, h=7, text=str(section.page_number), align="R", new_x="LMARGIN", new_y="NEXT")


def _write(book: _Book, block: Block) -> None:
    match block:
        case Heading():
            book.write_heading(block)
        case Paragraph():
            book.write_paragraph(block)
        case Table():
            book.write_table(block)


def stale_pdfs() -> list[Path]:
    """The committed PDFs that differ from what their sources give, absent ones included."""
    return [
        layout.target
        for layout in LAYOUTS
        if not layout.target.exists() or layout.target.read_bytes() != render_pdf(layout.source.read_text(), layout)
    ]


def main(arguments: list[str]) -> int:
    if arguments == ["--check"]:
        stale = stale_pdfs()
        for path in stale:
            print(f"{path} is not what its source gives: run `python -m hack.demo.pdf` and commit the result")
        return 1 if stale else 0
    for layout in LAYOUTS:
        layout.target.write_bytes(render_pdf(layout.source.read_text(), layout))
        print(layout.target)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
