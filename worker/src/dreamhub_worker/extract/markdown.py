"""Markdown: its own text is the extracted text, long tables in pieces; the headings give the outline."""

import re
from collections.abc import Iterator

from markdown_it import MarkdownIt

from dreamhub_worker.extract.extracted import Extracted, split_sections
from dreamhub_worker.extract.outline import Heading, build_sections
from dreamhub_worker.extract.tables import repeat_headers
from dreamhub_worker.extract.text import clean, decode, require_text

_FRONT_MATTER = re.compile(r"---\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FRONT_TITLE = re.compile(r"^title:[ \t]*[\"']?(.+?)[\"']?[ \t]*$", re.MULTILINE)
_LINK = re.compile(r"!?\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])?")
_MARKS = re.compile(r"\\([^\w\s])|[*`~]+|(?<!\w)_+|_+(?!\w)|<[^>]+>")
"""Emphasis, code marks and tags go; what a backslash escapes stays."""


def extract_markdown(data: bytes) -> Extracted:
    return outline_markdown(clean(decode(data)))


def outline_markdown(text: str, title: str | None = None) -> Extracted:
    """Sections of a Markdown text. `title` overrides the one found in it."""
    require_text(text)
    front = _FRONT_MATTER.match(text)
    body = front.end() if front else 0
    shown, cuts = repeat_headers(text[body:])
    found, sections = build_sections(shown, list(_headings(shown)))
    named = _FRONT_TITLE.search(front[1]) if front else None
    return Extracted(
        text=shown,
        title=title or (named[1] if named else None) or found,
        sections=split_sections(sections, cuts, shown),
    )


def plain_heading(text: str) -> str:
    """A heading as people read it: without links, emphasis, code marks and tags."""
    return re.sub(r"\s+", " ", _MARKS.sub(r"\1", _LINK.sub(r"\1", text))).strip()


def _headings(text: str) -> Iterator[Heading]:
    """Top-level headings; those in quotes and lists belong to what is quoted.

    The block parser alone is used: it knows code fences from headings at a third of the full parser's time.
    """
    starts = _line_starts(text)
    tokens = MarkdownIt("commonmark").disable("inline").parse(text)
    for index, token in enumerate(tokens):
        if token.type == "heading_open" and token.level == 0 and token.map is not None:
            first, last = token.map
            name = plain_heading(tokens[index + 1].content)
            if name:
                yield Heading(int(token.tag[1:]), name, starts[first], starts[last])


def _line_starts(text: str) -> list[int]:
    """Offset of each line, and of the end, as the parser counts lines."""
    starts = [0]
    starts.extend(match.end() for match in re.finditer(r"\n", text))
    starts.append(len(text))
    return starts
