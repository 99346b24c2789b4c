"""HTML: the main text without navigation, as Markdown, so that headings, lists and tables keep their sense."""

import re
from configparser import ConfigParser

import trafilatura
from lxml.html import HtmlElement
from trafilatura.settings import DEFAULT_CONFIG

from dreamhub.errors import InvalidInputError
from dreamhub_worker.extract.extracted import Extracted
from dreamhub_worker.extract.markdown import outline_markdown
from dreamhub_worker.extract.text import clean, decode, require_text

_CHARSET = re.compile(
    rb"<meta[^>]+charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]+)|<\?xml[^>]+encoding=[\"']([^\"']+)", re.IGNORECASE
)
_CHARSET_WITHIN = 2_048
_IN_MAIN = "ancestor::main or ancestor::article"


def extract_html(data: bytes) -> Extracted:
    source = clean(decode(data, declared_charset(data)))
    require_text(source)
    tree = trafilatura.load_html(source)
    if tree is None:  # a bare fragment
        tree = trafilatura.load_html(f"<html><body>{source}</body></html>")
    if tree is None:
        raise InvalidInputError("the HTML cannot be parsed; check that the file is complete", code="BadHTML")
    title = tree.findtext(".//title")
    _mark_main(tree)
    text = trafilatura.extract(
        tree,
        output_format="markdown",
        include_comments=False,
        include_tables=True,
        favor_recall=True,
        config=_as_short_as_it_is(),
    )
    extracted = outline_markdown(clean(text or ""))
    return extracted if extracted.title else outline_markdown(extracted.text, (title or "").strip() or None)


def _mark_main(tree: HtmlElement) -> None:
    """Says where the text of a page is that does not say it, or says it of its smaller part.

    The library guesses then, by paragraphs, and leaves out headings, lists and tables that stand beside them.
    """
    body = tree.find("body")
    if body is None:
        return
    for part in body.xpath(f".//nav[not({_IN_MAIN})] | .//footer[not({_IN_MAIN})] | .//script | .//style"):
        part.drop_tree()
    named = body.xpath(f".//main[not({_IN_MAIN})] | .//article[not({_IN_MAIN})]")
    if 2 * sum(map(_letters, named)) >= max(1, _letters(body)):
        return
    main = body.makeelement("article")
    main.text, body.text = body.text, None
    main.extend(list(body))
    body.append(main)


def _letters(element: HtmlElement) -> int:
    return sum(len(text.strip()) for text in element.itertext())


def _as_short_as_it_is() -> ConfigParser:
    """Below 250 letters the library gives up what it has found and takes all text of the page, as one heap."""
    config = ConfigParser()
    config.read_dict({"DEFAULT": {**DEFAULT_CONFIG.defaults(), "min_extracted_size": "1"}})
    return config


def declared_charset(data: bytes) -> str | None:
    match = _CHARSET.search(data[:_CHARSET_WITHIN])
    return (match[1] or match[2]).decode("ascii", "replace") if match else None
