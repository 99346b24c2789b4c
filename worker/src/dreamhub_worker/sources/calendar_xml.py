"""What CalDAV servers are asked, and how their answers read (RFC 4918, 4791, 6578). Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote, unquote, urlsplit
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from yarl import URL

from dreamhub_worker.sources.web_xml import local_name, parse_xml

_NAMES = 'xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav" xmlns:S="http://calendarserver.org/ns/"'
_HEAD = '<?xml version="1.0" encoding="utf-8"?>'

PROPFIND_CALENDARS = (
    f"{_HEAD}<D:propfind {_NAMES}><D:prop><D:resourcetype/><D:sync-token/><S:getctag/><D:current-user-principal/>"
    "<C:calendar-home-set/></D:prop></D:propfind>"
).encode()
PROPFIND_ETAGS = f"{_HEAD}<D:propfind {_NAMES}><D:prop><D:resourcetype/><D:getetag/></D:prop></D:propfind>".encode()


def build_sync(token: str) -> bytes:
    """What has changed since a token; everything when it is empty."""
    return (
        f"{_HEAD}<D:sync-collection {_NAMES}><D:sync-token>{escape(token)}</D:sync-token><D:sync-level>1</D:sync-level>"
        "<D:prop><D:getetag/></D:prop></D:sync-collection>"
    ).encode()


def build_multiget(hrefs: Iterable[str]) -> bytes:
    wanted = "".join(f"<D:href>{escape(href)}</D:href>" for href in hrefs)
    return (
        f"{_HEAD}<C:calendar-multiget {_NAMES}><D:prop><D:getetag/><C:calendar-data/></D:prop>{wanted}"
        "</C:calendar-multiget>"
    ).encode()


@dataclass(frozen=True, slots=True)
class Resource:
    """One entry of an answer. Properties that the server does not have are absent."""

    href: str
    """Path on the server, as the server spells it."""
    status: int | None
    """Of the resource itself; None when only its properties have one."""
    texts: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    """Properties that hold an address."""
    kinds: frozenset[str] = frozenset()

    @property
    def is_calendar(self) -> bool:
        return "calendar" in self.kinds


@dataclass(frozen=True, slots=True)
class MultiStatus:
    resources: tuple[Resource, ...]
    sync_token: str = ""


def parse_multistatus(data: bytes, url: URL) -> MultiStatus:
    """Entries of the server that was asked; those that name another one are left out. Raises as `parse_xml`."""
    root = parse_xml(data)
    found = (_resource(element, url) for element in root if local_name(element) == "response")
    token = next((element.text or "" for element in root if local_name(element) == "sync-token"), "")
    return MultiStatus(tuple(resource for resource in found if resource is not None), token.strip())


def _resource(response: Element, url: URL) -> Resource | None:
    href = own_path(_text(response, "href"), url)
    if href is None:
        return None
    texts: dict[str, str] = {}
    links: dict[str, str] = {}
    kinds: frozenset[str] = frozenset()
    for prop in _good_properties(response):
        name = local_name(prop)
        texts[name] = (prop.text or "").strip() if name != "calendar-data" else (prop.text or "")
        links[name] = _text(prop, "href")
        if name == "resourcetype":
            kinds = frozenset(map(local_name, prop))
    return Resource(
        href, _status(_text(response, "status")), texts, {n: link for n, link in links.items() if link}, kinds
    )


def _good_properties(response: Element) -> list[Element]:
    return [
        prop
        for propstat in response
        if local_name(propstat) == "propstat" and _status(_text(propstat, "status")) in {200, None}
        for block in propstat
        if local_name(block) == "prop"
        for prop in block
    ]


def own_path(href: str, url: URL) -> str | None:
    """The path of an address on the server of `url`; None for one elsewhere, or none at all."""
    parts = urlsplit(href)
    if not href or (parts.netloc and not _is_same(href, url)):
        return None
    if parts.path.startswith("/"):
        return parts.path
    return url.join(URL(href)).raw_path


def spelling(path: str) -> str:
    """The one that paths are compared in: servers list `a%40b` and answer for `a@b`."""
    return quote(unquote(path))


def _is_same(href: str, url: URL) -> bool:
    """By name alone: behind a proxy, servers mistake their scheme and port, of which nothing is used."""
    try:
        return URL(href).raw_host == url.raw_host
    except ValueError:
        return False


def _text(element: Element, name: str) -> str:
    return next(((child.text or "").strip() for child in element if local_name(child) == name), "")


def _status(line: str) -> int | None:
    """From `HTTP/1.1 404 Not Found`."""
    words = line.split()
    return int(words[1]) if len(words) > 1 and words[1].isdecimal() else None


Depth = Literal["0", "1"]
