"""The text of one Word paragraph, and what hangs on it: notes, comments, boxes, page breaks."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from lxml.etree import _Element as Element

from dreamhub_worker.extract.package import attribute, child, children, local

_SKIPPED = frozenset(
    {
        *("del", "moveFrom", "instrText", "delText", "delInstrText"),  # what a reader of the final document never sees
        *("rt", "pPr", "sectPr", "tblPr", "tblGrid"),
    }
)
_MARKS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-", "softHyphen": ""}


@dataclass
class Paragraph:
    text: str = ""
    notes: list[tuple[str, str]] = field(default_factory=list)
    """Kind (`footnote`, `endnote` or `comment`) and id of what is referred to, in order."""
    boxes: list[Element] = field(default_factory=list)
    """Contents of text boxes anchored here."""
    breaks_before: int = 0
    breaks_inside: int = 0
    """Page breaks that Word rendered, before the first letter and behind it."""


def read_paragraph(element: Element) -> Paragraph:
    paragraph = Paragraph()
    parts: list[str] = []
    for node in _walk(element):
        _take(node, paragraph, parts)
    paragraph.text = "".join(parts).strip()
    return paragraph


def paragraphs_within(element: Element) -> Iterator[Element]:
    """All paragraphs below, those of text boxes and inner tables too; of alternatives the first."""
    for node in element:
        if local(node) == "p":
            yield node
        if local(node) != "Fallback" or child(element, "Choice") is None:
            yield from paragraphs_within(node)


def _take(node: Element, paragraph: Paragraph, parts: list[str]) -> None:
    match local(node):
        case "t":
            parts.append(node.text or "")
        case "footnoteReference" | "endnoteReference" | "commentReference" as name:
            paragraph.notes.append((name.removesuffix("Reference"), attribute(node, "id") or ""))
        case "lastRenderedPageBreak":
            if any(part.strip() for part in parts):
                paragraph.breaks_inside += 1
            else:
                paragraph.breaks_before += 1
        case "txbxContent":
            paragraph.boxes.append(node)
        case name:
            parts.append(_MARKS.get(name, ""))


def _walk(element: Element) -> Iterator[Element]:
    """Text and marks in order; of alternatives the first, of tracked changes the outcome, hidden text left out."""
    for node in element:
        name = local(node)
        if name in _SKIPPED or (name == "r" and _is_hidden(node)):
            continue
        if name == "AlternateContent":
            chosen = child(node, "Choice")
            yield from _walk(chosen if chosen is not None else node)
        elif name == "txbxContent" or not len(node):
            yield node
        else:
            yield from _walk(node)


def _is_hidden(run: Element) -> bool:
    vanish = child(run, "rPr", "vanish")
    return vanish is not None and (attribute(vanish, "val") or "true") not in {"0", "false", "off"}


@dataclass(frozen=True, slots=True)
class _Style:
    name: str
    level: int | None
    parent: str
    is_list: bool


class Styles:
    """What paragraph styles mean: headings, titles, lists, tables of contents. Names are English in every language."""

    def __init__(self, root: Element | None) -> None:
        self._styles: dict[str, _Style] = {}
        for style in children(root, "style") if root is not None else ():
            properties = child(style, "pPr")
            self._styles[attribute(style, "styleId") or ""] = _Style(
                name=(attribute(child(style, "name"), "val") or "").lower(),
                level=_outline_level(properties),
                parent=attribute(child(style, "basedOn"), "val") or "",
                is_list=child(properties, "numPr") is not None,
            )

    def heading_level(self, paragraph: Element) -> int | None:
        """0 for the title, 1 to 9 for headings, None for text."""
        properties = child(paragraph, "pPr")
        own = _outline_level(properties)
        if own is not None:
            return own + 1 if own < 9 else None
        for style in self._line(properties):
            if style.name == "title":
                return 0
            if style.name.startswith("heading ") and style.name[8:].isdecimal():
                return int(style.name[8:])
            if style.level is not None:
                return style.level + 1 if style.level < 9 else None
        return None

    def is_contents(self, paragraph: Element) -> bool:
        """A line of a table of contents, which repeats the headings."""
        return any(style.name.startswith("toc ") for style in self._line(child(paragraph, "pPr")))

    def list_depth(self, paragraph: Element) -> int | None:
        """From 0 for an item of a list, None for other paragraphs."""
        properties = child(paragraph, "pPr")
        numbering = child(properties, "numPr")
        if numbering is not None:
            if attribute(child(numbering, "numId"), "val") == "0":
                return None
            depth = attribute(child(numbering, "ilvl"), "val") or "0"
            return int(depth) if depth.isdecimal() else 0
        return 0 if any(style.is_list for style in self._line(properties)) else None

    def _line(self, properties: Element | None) -> Iterator[_Style]:
        """The style and those that it is based on; a circle ends where it closes."""
        name = attribute(child(properties, "pStyle"), "val")
        seen: set[str] = set()
        while name and name not in seen and (style := self._styles.get(name)) is not None:
            seen.add(name)
            yield style
            name = style.parent


def _outline_level(properties: Element | None) -> int | None:
    level = attribute(child(properties, "outlineLvl"), "val") or ""
    return int(level) if level.isdecimal() else None
