"""PDF: text page by page; lines set larger than the body are headings.

Few PDFs carry an outline, nearly all set headings larger. The size is that of the loose box of a line's first letter,
which includes the page's transformations, where the font size alone is often 1.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pypdfium2
from pypdfium2 import raw

from dreamhub.errors import InvalidInputError, TooLargeError
from dreamhub_worker.extract.extracted import Extracted, Place
from dreamhub_worker.extract.outline import Heading, build_sections
from dreamhub_worker.extract.text import clean, require_text

MAX_PAGES = 10_000
_LARGER = 1.12
"""A heading's size against the body's: below it, rounding and superscripts would make headings."""
_LEVELS = 4
_MAX_HEADING = 160
_HYPHENS = ("\ufffe", "\x02")
_FULL_LINE = 0.7
"""Share of the page's longest line from which a line counts as broken by the typesetter."""
_FIRST_CJK = 0x2E80
"""Scripts from here on are written without spaces."""


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    size: float
    """Height in points, rounded to a half; 0 when unknown."""
    start: int


def extract_pdf(data: bytes) -> Extracted:
    """Raises InvalidInputError: `EncryptedPDF`, `CorruptPDF`, `EmptyDocument` (no pages) or `NoText` (a scan)."""
    document = _open(data)
    try:
        pages = len(document)
        if pages > MAX_PAGES:
            raise TooLargeError(f"the PDF has {pages} pages; at most {MAX_PAGES} are accepted: split it")
        return _assemble([list(_read_lines(document, index)) for index in range(pages)])
    finally:
        document.close()


def _open(data: bytes) -> pypdfium2.PdfDocument:
    """PDFium refuses a document without pages without saying why: its last error stays what it was before.

    So it is made a known one first, by opening a file that cannot exist.
    """
    raw.FPDF_LoadDocument(b"/dev/null/none", None)
    try:
        return pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        code = getattr(error, "err_code", None)
        if code == raw.FPDF_ERR_FILE:
            raise InvalidInputError("the PDF has no pages; export it again", code="EmptyDocument") from error
        if code == raw.FPDF_ERR_PASSWORD:
            raise InvalidInputError(
                "the PDF is encrypted; save it without a password and upload it again", code="EncryptedPDF"
            ) from error
        raise InvalidInputError(
            "the PDF is damaged and cannot be opened; export it again", code="CorruptPDF"
        ) from error


def _read_lines(document: pypdfium2.PdfDocument, index: int) -> Iterator[tuple[str, float]]:
    """Text and size of each line of a page."""
    try:
        page = document[index]
        text_page = page.get_textpage()
    except pypdfium2.PdfiumError as error:
        raise InvalidInputError(
            f"page {index + 1} of the PDF is damaged; export it again", code="CorruptPDF"
        ) from error
    try:
        text = text_page.get_text_range()
        exact = len(text) == text_page.count_chars()  # else indexes do not match characters: no sizes on this page
        offset = 0
        for line in text.split("\r\n"):
            size = _size(text_page, offset + len(line) - len(line.lstrip())) if exact and line.strip() else 0.0
            yield line, size
            offset += len(line) + 2
    finally:
        text_page.close()
        page.close()


def _size(text_page: pypdfium2.PdfTextPage, index: int) -> float:
    box = raw.FS_RECTF()
    if not raw.FPDFText_GetLooseCharBox(text_page, index, box):
        return 0.0
    return round(abs(float(box.top) - float(box.bottom)) * 2) / 2


def _assemble(pages: Sequence[Sequence[tuple[str, float]]]) -> Extracted:
    lines: list[_Line] = []
    places: list[Place] = []
    length = 0
    for number, page in enumerate(pages, 1):
        places.append(Place(length, "page", number))
        widest = max((len(text) for text, _ in page), default=0)
        for (text, size), following in zip(page, [*page[1:], ("", 0.0)], strict=True):
            whole = join_line(clean(text), size, following, widest)
            lines.append(_Line(whole, size, length))
            length += len(whole)
    text = "".join(line.text for line in lines)
    require_text(text)
    title, sections = build_sections(text, list(_headings(lines)))
    return Extracted(text=text, title=title, sections=sections, places=tuple(places))


def join_line(text: str, size: float, following: tuple[str, float], widest: int) -> str:
    """A line with what parts it from the next: nothing, a space or a new line.

    A typesetter's line break is no boundary: a long line runs on in the next one of its size, a word broken by a hyphen
    (PDFium marks it) is whole again. A short line ends a paragraph.
    """
    if text.endswith(_HYPHENS):
        return text[:-1]
    next_text, next_size = following
    if size != next_size or not next_text.strip() or len(text) < _FULL_LINE * widest:
        return text + "\n"
    is_spaced = ord(text[-1]) < _FIRST_CJK or ord(next_text[0]) < _FIRST_CJK
    return text.rstrip() + " " if is_spaced else text


def _headings(lines: Sequence[_Line]) -> Iterator[Heading]:
    """Runs of lines of one heading size. The largest sizes give the levels, 1 to 4."""
    levels = _levels(lines)
    run: list[_Line] = []
    for line in lines:
        if run and (line.size != run[-1].size or len(_joined([*run, line])) > _MAX_HEADING):
            yield _heading(run, levels)
            run = []
        if line.size in levels and _looks_like_heading(line.text):
            run.append(line)
        elif run:
            yield _heading(run, levels)
            run = []
    if run:
        yield _heading(run, levels)


def _levels(lines: Sequence[_Line]) -> dict[float, int]:
    weights: Counter[float] = Counter()
    for line in lines:
        if line.size:
            weights[line.size] += len(line.text)
    if not weights:
        return {}
    body = weights.most_common(1)[0][0]
    larger = sorted((size for size in weights if size >= body * _LARGER), reverse=True)
    return {size: min(rank, _LEVELS) for rank, size in enumerate(larger, start=1)}


def _looks_like_heading(text: str) -> bool:
    stripped = text.strip()
    return 1 < len(stripped) <= _MAX_HEADING and any(char.isalpha() for char in stripped)


def _heading(run: Sequence[_Line], levels: dict[float, int]) -> Heading:
    return Heading(levels[run[0].size], _joined(run), run[0].start, run[-1].start + len(run[-1].text))


def _joined(run: Sequence[_Line]) -> str:
    return " ".join(" ".join(line.text.split()) for line in run)
