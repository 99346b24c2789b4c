"""HTML: the main text without navigation, as Markdown, so that headings, lists and tables keep their sense."""

import re

import trafilatura

from dreamhub.errors import InvalidInputError
from dreamhub_worker.extract.extracted import Extracted
from dreamhub_worker.extract.markdown import outline_markdown
from dreamhub_worker.extract.text import clean, decode, require_text

_CHARSET = re.compile(
    rb"<meta[^>]+charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]+)|<\?xml[^>]+encoding=[\"']([^\"']+)", re.IGNORECASE
)
_CHARSET_WITHIN = 2_048


def extract_html(data: bytes) -> Extracted:
    source = clean(decode(data, declared_charset(data)))
    require_text(source)
    tree = trafilatura.load_html(source)
    if tree is None:  # a bare fragment
        tree = trafilatura.load_html(f"<html><body>{source}</body></html>")
    if tree is None:
        raise InvalidInputError("the HTML cannot be parsed; check that the file is complete", code="BadHTML")
    title = tree.findtext(".//title")
    text = trafilatura.extract(
        tree, output_format="markdown", include_comments=False, include_tables=True, favor_recall=True
    )
    extracted = outline_markdown(clean(text or ""))
    return extracted if extracted.title else outline_markdown(extracted.text, (title or "").strip() or None)


def declared_charset(data: bytes) -> str | None:
    match = _CHARSET.search(data[:_CHARSET_WITHIN])
    return (match[1] or match[2]).decode("ascii", "replace") if match else None
