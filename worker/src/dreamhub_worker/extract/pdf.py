"""PDF: text page by page; lines set larger than the body are headings.

Few PDFs carry an outline, nearly all set headings larger. The size is that of the loose box of a line's first letter,
which includes the page's transformations, where the font size alone is often 1.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pypdfium2  # type: ignore[import-untyped]  # the package ships no types
from pypdfium2 import raw

from dreamhub.errors import InvalidInputError, TooLargeError
from dreamhub_worker.extract.extracted import Extracted
from dreamhub_worker.extract.outline import Heading, build_sections
from dreamhub_worker.extract.text import clean, require_text

MAX_PAGES = 10_000
_LARGER = 1.12
"""A heading's size against the body's: below it, rounding and superscripts would make headings."""
_LEVELS = 4
_MAX_HEADING = 160


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
    try:
        return pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        code = getattr(error, "err_code", None)
        if code == raw.FPDF_ERR_SUCCESS:  # PDFium's way to say that there is no first page
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
    page_starts: list[int] = []
    parts: list[str] = []
    length = 0
    for page in pages:
        page_starts.append(length)
        for raw_text, size in page:
            text = _line_text(raw_text)
            lines.append(_Line(text, size, length))
            parts.append(text)
            length += len(text)
    whole = "".join(parts)
    require_text(whole)
    title, sections = build_sections(whole, list(_headings(lines)))
    return Extracted(text=whole, title=title, sections=sections, page_starts=tuple(page_starts))


def _line_text(text: str) -> str:
    """A line as it joins the next: a word broken by the typesetter is whole again, all else ends its line."""
    text = clean(text)
    return text[:-1] if text.endswith(("\ufffe", "\x02")) else text + "\n"


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
