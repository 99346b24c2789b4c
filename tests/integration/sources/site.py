"""A real HTTP server on the loopback interface whose pages a test changes while it runs."""

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer

Handler = Callable[[web.Request], web.StreamResponse]


@dataclass
class Site:
    url: str = ""
    pages: dict[str, str | bytes | Handler] = field(default_factory=dict)
    """By path with query: HTML, other bytes, or whatever else answers."""
    robots: str | int | None = None
    """The file, or the status that its absence has."""
    asked: Counter[str] = field(default_factory=Counter)
    agents: set[str] = field(default_factory=set)
    authorizations: set[str | None] = field(default_factory=set)

    def address(self, path: str) -> str:
        return self.url + path

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path_qs
        self.asked[path] += 1
        self.agents.add(request.headers["User-Agent"])
        self.authorizations.add(request.headers.get("Authorization"))
        if path == "/robots.txt":
            return web.Response(text=self.robots) if isinstance(self.robots, str) else _status(self.robots or 404)
        page = self.pages.get(path)
        if page is None:
            return _status(404)
        if callable(page):
            return page(request)
        return _with_etag(request, page)


def _status(status: int) -> web.Response:
    return web.Response(status=status, text=f"{status}")


def _with_etag(request: web.Request, page: str | bytes) -> web.Response:
    data = page.encode() if isinstance(page, str) else page
    etag = hashlib.sha256(data).hexdigest()[:16]
    if request.if_none_match and any(known.value == etag for known in request.if_none_match):
        response = web.Response(status=304)
    else:
        kind = "application/pdf" if data.startswith(b"%PDF-") else "text/html"
        response = web.Response(body=data, content_type=kind)
    response.etag = etag
    return response


def page(title: str, *links: str, head: str = "") -> str:
    anchors = "".join(f'<p><a href="{link}">{link}</a></p>' for link in links)
    return (
        f"<!doctype html><html><head><title>{title}</title>{head}</head><body><h1>{title}</h1>{anchors}</body></html>"
    )


@asynccontextmanager
async def run_site() -> AsyncIterator[Site]:
    site, app = Site(), web.Application()
    app.router.add_route("*", "/{path:.*}", site.answer)
    async with TestServer(app, host="127.0.0.1") as server:
        site.url = str(server.make_url("")).rstrip("/")
        yield site
