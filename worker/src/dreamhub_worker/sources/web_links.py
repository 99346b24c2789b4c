"""What a page says to a crawler: its links, its own name, and whether it wants to be read and followed.

Python's own parser, since this runs beside the worker's credentials: text and structure are for the extraction process.
"""

import time
from contextlib import suppress
from dataclasses import dataclass, field
from html.parser import HTMLParser

from typing_extensions import override
from yarl import URL

from dreamhub_worker.sources.web_address import canonical, may_be_document, same_page

MAX_LINKS = 2_000
"""Of one page."""
MAX_CHARACTERS = 2**21
"""Of one page that are looked at for links."""
_PIECE = 1 << 16
_SECONDS = 5.0

AGENT = "dreamhub"
"""Our name in robots.txt, in meta tags and in X-Robots-Tag."""

_Attributes = list[tuple[str, str | None]]


@dataclass
class PageSays:
    links: list[URL] = field(default_factory=list)
    name: URL | None = None
    """The address that the page gives as its own, where it differs in the query only."""
    index: bool = True
    follow: bool = True


def read_page(html: str, url: URL, robots_tag: str = "") -> PageSays:
    """Never raises; gives up after some seconds on what only an attacker writes. `robots_tag`: the X-Robots-Tag."""
    parser = _Parser(url)
    parser.obey(robots_tag)
    deadline = time.monotonic() + _SECONDS
    with suppress(AssertionError):  # how the library gives up a declaration such as `<![`; links above it count
        for start in range(0, min(len(html), MAX_CHARACTERS), _PIECE):
            parser.feed(html[start : start + _PIECE])
            if time.monotonic() > deadline or len(parser.found) >= MAX_LINKS:
                break
    says = parser.says
    says.links = list(parser.found) if says.follow else []
    return says


def directives(text: str) -> frozenset[str]:
    """The words of a robots meta tag or header that are for everyone or for us: `noindex, otherbot: nofollow`."""
    words: set[str] = set()
    for_us = True
    for part in text.lower().split(","):
        agent, colon, word = part.rpartition(":")
        if colon:
            for_us = agent.strip() in {AGENT, "*"}
        if for_us:
            words.add(word.strip())
    return frozenset(words)


class _Parser(HTMLParser):
    def __init__(self, url: URL) -> None:
        super().__init__(convert_charrefs=True)
        self.says = PageSays()
        self.found: dict[URL, None] = {}
        self._url = self._base = url

    def obey(self, text: str) -> None:
        words = directives(text)
        self.says.index &= not words & {"noindex", "none"}
        self.says.follow &= not words & {"nofollow", "none"}

    @override
    def handle_starttag(self, tag: str, attrs: _Attributes) -> None:
        values = {name: value or "" for name, value in reversed(attrs)}
        if tag in {"a", "area"}:
            self._link(values)
        elif tag == "base" and self._base == self._url:
            self._base = canonical(values.get("href", ""), self._url) or self._url
        elif tag == "link" and "canonical" in values.get("rel", "").lower().split():
            self._named(values.get("href", ""))
        elif tag == "meta" and values.get("name", "").lower() in {"robots", AGENT}:
            self.obey(values.get("content", ""))

    def _link(self, values: dict[str, str]) -> None:
        if "nofollow" in values.get("rel", "").lower().split() or not values.get("href"):
            return
        url = canonical(values["href"], self._base)
        if url is not None and len(self.found) < MAX_LINKS and may_be_document(url):
            self.found[url] = None

    def _named(self, href: str) -> None:
        url = canonical(href, self._base) if href else None
        if url is not None and same_page(url, self._url):
            self.says.name = url
