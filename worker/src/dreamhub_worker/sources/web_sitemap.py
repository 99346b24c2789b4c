"""Addresses from a site's sitemaps: where robots.txt says they are, else at /sitemap.xml."""

import asyncio
import gzip
import io
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

from yarl import URL

from dreamhub.errors import DreamHubError
from dreamhub_worker.sources.web_address import canonical
from dreamhub_worker.sources.web_fetch import Fetcher
from dreamhub_worker.sources.web_robots import Robots
from dreamhub_worker.sources.web_xml import local_name, parse_xml

MAX_FILES = 20
MAX_BYTES = 10 * 2**20
"""Of one file, unpacked. The protocol allows 50 MB, which is more pages than a run reads."""


@dataclass(frozen=True, slots=True)
class Sitemap:
    kind: Literal["urlset", "sitemapindex"]
    locations: tuple[str, ...]


async def read_sitemaps(fetcher: Fetcher, robots: Robots, start: URL) -> AsyncIterator[URL]:
    """Every page that the sitemaps of a start page's site name. What cannot be read is passed over: links are left."""
    try:
        named = (await robots.rules(start)).sitemaps
    except DreamHubError:
        return
    found = (canonical(text, start) for text in named or ("/sitemap.xml",))
    files = [url for url in found if url is not None]
    for number, url in enumerate(files):  # grows while indexes are read
        if number >= MAX_FILES:
            return
        sitemap = await _fetch(fetcher, url)
        locations = (canonical(text, url) for text in sitemap.locations)
        targets = [target for target in locations if target is not None]
        if sitemap.kind == "sitemapindex":
            files += targets
            continue
        for target in targets:
            yield target


async def _fetch(fetcher: Fetcher, url: URL) -> Sitemap:
    try:
        reply = await fetcher.request("GET", url, MAX_BYTES)
        if reply.status != 200:
            return Sitemap("urlset", ())
        return await asyncio.to_thread(parse_sitemap, reply.body)
    except DreamHubError:
        return Sitemap("urlset", ())


def parse_sitemap(data: bytes) -> Sitemap:
    """Raises InvalidInputError for what is no harmless XML. Nothing is found in what is XML and no sitemap."""
    root = parse_xml(_unpacked(data))
    kind: Literal["urlset", "sitemapindex"] = "sitemapindex" if local_name(root) == "sitemapindex" else "urlset"
    locations = (item.text or "" for entry in root for item in entry if local_name(item) == "loc")
    return Sitemap(kind, tuple(text.strip() for text in locations))


def _unpacked(data: bytes) -> bytes:
    """Sitemaps may be gzip files. Of a bomb only the beginning is unpacked, which is no XML."""
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        return gzip.GzipFile(fileobj=io.BytesIO(data)).read(MAX_BYTES)
    except (OSError, EOFError, zlib.error):
        return b""
