"""PowerPoint: a slide is a section under its title; tables, charts, diagrams, notes and comments with it.

The XML is walked here: python-pptx would bring Pillow and XlsxWriter, a tenth of the image, for reading no text.
"""

from collections.abc import Iterator
from itertools import zip_longest

from lxml.etree import _Element as Element

from dreamhub.errors import InvalidInputError
from dreamhub_worker.extract.draft import Draft
from dreamhub_worker.extract.extracted import Extracted
from dreamhub_worker.extract.package import Package, attribute, child, children, local
from dreamhub_worker.extract.tables import cut_columns

MAX_SLIDES = 10_000
_TITLES = frozenset({"title", "ctrTitle"})
_FURNITURE = frozenset({"dt", "ftr", "hdr", "sldNum", "sldImg"})
"""Placeholders that repeat on every slide."""


def extract_pptx(data: bytes) -> Extracted:
    """Raises InvalidInputError `CorruptOffice`, `EmptyDocument` or `NoText`, and what `Package.open` refuses."""
    package = Package.open(data)
    main = package.main_part()
    slides = list(_slide_parts(package, main))
    if not slides:
        raise InvalidInputError("the presentation has no slides; save it again", code="EmptyDocument")
    draft = Draft()
    titles = [_write_slide(draft, package, part, number) for number, part in enumerate(slides, 1)]
    return draft.finish(titles[0] or package.core_title(), titled=False)


def _slide_parts(package: Package, main: str) -> Iterator[str]:
    """In the order in which they are shown."""
    relations = package.relations(main)
    listing = child(package.read(main), "sldIdLst")
    for item in list(listing)[:MAX_SLIDES] if listing is not None else ():
        ids = [value for key, value in item.attrib.items() if str(key).endswith("}id")]
        relation = relations.get(str(ids[0])) if ids else None
        if relation is not None and relation.target in package:
            yield relation.target


def _write_slide(draft: Draft, package: Package, part: str, number: int) -> str | None:
    """Returns the slide's title. A slide hidden from the show is read: who opens the file sees it."""
    slide = package.read(part)
    shapes = list(_shapes(child(slide, "cSld", "spTree")))
    title = next((text for shape in shapes if _placeholder(shape) in _TITLES and (text := _line(shape))), None)
    hidden = " (hidden)" if slide.get("show") in {"0", "false"} else ""
    draft.place("slide", number)
    draft.cut()
    if title or hidden:
        draft.heading(1, (title or f"Slide {number}") + hidden)
    else:
        draft.end_headings()
    for shape in shapes:
        if _placeholder(shape) not in _TITLES | _FURNITURE:
            _write_shape(draft, package, part, shape)
    for notes in package.related(part, "notesSlide"):
        text = "\n".join(_notes(package.read(notes)))
        draft.block(f"Notes: {text}" if text else "")
    for comment in _comments(package, part):
        draft.block(f"[Comment: {comment}]")
    return title


def _shapes(tree: Element | None) -> Iterator[Element]:
    """Text, tables and graphics, those in groups too; of alternatives the first."""
    for element in tree if tree is not None else ():
        match local(element):
            case "sp" | "graphicFrame" | "cxnSp":
                yield element
            case "grpSp" | "Choice":
                yield from _shapes(element)
            case "AlternateContent":
                chosen = child(element, "Choice")
                yield from _shapes(chosen if chosen is not None else child(element, "Fallback"))
            case _:
                pass


def _write_shape(draft: Draft, package: Package, part: str, shape: Element) -> None:
    graphic = child(shape, "graphic", "graphicData")
    if graphic is None:
        draft.block("\n".join(_paragraphs(child(shape, "txBody"))))
        return
    table = child(graphic, "tbl")
    if table is not None:
        _write_table(draft, [[_line(cell) for cell in children(row, "tc")] for row in children(table, "tr")])
    for name, kind in (("chart", "id"), ("relIds", "dm")):
        relation = package.relations(part).get(attribute(child(graphic, name), kind) or "")
        if relation is None or relation.target not in package:
            continue
        root = package.read(relation.target)
        if name == "chart":
            _write_chart(draft, root)
        else:  # the texts of a diagram (SmartArt)
            draft.block("\n".join(_paragraphs(root)))


def _write_table(draft: Draft, grid: list[list[str]]) -> None:
    rows = cut_columns(grid)
    if len(rows) > 1:
        draft.table(rows[0], rows[1:])
    elif rows:
        draft.block(" | ".join(rows[0]))


def _write_chart(draft: Draft, root: Element) -> None:
    """The title, and the values that the chart shows as a table: categories down, series across."""
    title = child(root, "chart", "title")
    draft.block(" ".join(_paragraphs(title)) if title is not None else "")
    series = [item for item in root.iter() if local(item) == "ser"]
    names = [" ".join(_values(child(item, "tx"))) for item in series]
    columns = [_values(child(item, "val")) or _values(child(item, "yVal")) for item in series]
    labels = next(filter(None, (_values(child(item, "cat")) or _values(child(item, "xVal")) for item in series)), [])
    rows = [list(row) for row in zip_longest(labels, *columns, fillvalue="")]
    if rows and names:
        draft.table(["", *names], rows)


def _values(element: Element | None) -> list[str]:
    if element is None:
        return []
    return [(value.text or "").strip() for value in element.iter() if local(value) == "v"]


def _placeholder(shape: Element) -> str | None:
    """The kind of placeholder, empty for the unnamed kind, None for other shapes."""
    for name in ("nvSpPr", "nvGraphicFramePr"):
        found = child(shape, name, "nvPr", "ph")
        if found is not None:
            return found.get("type") or ""
    return None


def _line(element: Element) -> str:
    return " ".join(" ".join(_paragraphs(element)).split())


def _paragraphs(element: Element | None) -> Iterator[str]:
    """Lines of text below, indented by their level."""
    for paragraph in element.iter() if element is not None else ():
        if local(paragraph) != "p":
            continue
        text = "".join(_pieces(paragraph)).strip()
        level = attribute(child(paragraph, "pPr"), "lvl") or "0"
        if text:
            yield ("  " * min(int(level), 9) + "- " if level.isdecimal() and int(level) else "") + text


def _pieces(paragraph: Element) -> Iterator[str]:
    for element in paragraph.iter():
        match local(element):
            case "t":
                yield element.text or ""
            case "br":
                yield "\n"
            case "tab":
                yield "\t"
            case _:
                pass


def _notes(root: Element) -> Iterator[str]:
    for shape in _shapes(child(root, "cSld", "spTree")):
        if _placeholder(shape) == "body":
            yield from _paragraphs(child(shape, "txBody"))


def _comments(package: Package, part: str) -> Iterator[str]:
    """Of both kinds: with plain texts, and with paragraphs (since 2021)."""
    for name in package.related(part, "comments"):
        for comment in package.read(name).iter():
            if local(comment) in {"cm", "reply"}:
                text = child(comment, "text")
                plain = (text.text or "").strip() if text is not None else _line_of(child(comment, "txBody"))
                if plain:
                    yield plain


def _line_of(element: Element | None) -> str:
    return _line(element) if element is not None else ""
