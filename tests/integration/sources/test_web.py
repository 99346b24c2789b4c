"""The crawl against a real HTTP server: what is read, what is not, and what a second reading asks for."""

import asyncio
import gzip
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientTimeout, web

from dreamhub.errors import InvalidInputError, UnavailableError
from dreamhub_worker.sources import web_fetch
from dreamhub_worker.sources.source import Checkpoint, Event, Found
from dreamhub_worker.sources.web import WebSource
from tests.integration.sources.conftest import LOOPBACK
from tests.integration.sources.library import Library, left_in
from tests.integration.sources.site import Site, page


def crawl(site: Site, folder: Path, **config: Any) -> Library:
    config = {"urls": [site.address("/")], **config}
    return Library(WebSource, config, folder, networks=LOOPBACK)


def paths(site: Site, addresses: Any) -> list[str]:
    return sorted(str(address).removeprefix(site.url) for address in addresses)


async def test_links_are_followed_as_deep_as_allowed(site: Site, tmp_path: Path) -> None:
    site.pages = {
        "/": page("Start", "/a", "b?x=1#part", "/style.css", "mailto:me@example.com", "https://elsewhere.example/"),
        "/a": page("A", "/a/deep", "/"),
        "/b?x=1": page("B", "/paper.pdf"),
        "/a/deep": page("Deep", "/a/deeper"),
        "/paper.pdf": b"%PDF-1.7 paper",
    }
    library = crawl(site, tmp_path, maxDepth=2)
    reading = await library.read()
    assert paths(site, reading.found) == ["/", "/a", "/a/deep", "/b?x=1", "/paper.pdf"]
    assert library.items[site.address("/paper.pdf")] == b"%PDF-1.7 paper"
    assert reading.found[site.address("/paper.pdf")].media_type == "application/pdf"
    assert site.asked["/a/deeper"] == site.asked["/style.css"] == 0
    assert {agent.partition("/")[0] for agent in site.agents} == {"DreamHub"}
    assert left_in(tmp_path) == []


async def test_depth_nought_and_the_number_of_pages_are_limits(site: Site, tmp_path: Path) -> None:
    site.pages = {"/": page("Start", *(f"/{n}" for n in range(20))), **{f"/{n}": page(f"{n}") for n in range(20)}}
    assert paths(site, (await crawl(site, tmp_path, maxDepth=0).read()).found) == ["/"]
    assert len((await crawl(site, tmp_path, maxPages=5).read()).found) == 5


async def test_a_second_reading_fetches_only_what_changed(site: Site, tmp_path: Path) -> None:
    site.pages = {
        "/": page("Start", "/same", "/changes", "/goes", "/moves"),
        "/same": page("Same"),
        "/changes": page("Before"),
        "/goes": page("Goes"),
        "/moves": page("Moves"),
    }
    library = crawl(site, tmp_path)
    await library.read()
    del site.pages["/goes"]
    site.pages["/changes"] = page("After", "/new")
    site.pages["/new"] = page("New")
    site.pages["/moves"] = _redirect("/moved", 301)
    site.pages["/moved"] = page("Moved")
    second = await library.read()
    assert paths(site, second.same) == ["/", "/same"]
    assert paths(site, second.opened) == ["/changes", "/moved"]
    assert paths(site, second.gone) == ["/goes", "/moves"]
    third = await library.read()
    assert paths(site, third.same) == ["/", "/changes", "/moved", "/same"]
    assert (third.opened, third.gone) == ([], [])


async def test_new_pages_are_found_on_unchanged_ones_when_the_limits_grow(site: Site, tmp_path: Path) -> None:
    site.pages = {"/": page("Start", "/a"), "/a": page("A", "/b"), "/b": page("B")}
    library = crawl(site, tmp_path, maxDepth=1)
    await library.read()
    library.config = {**library.config, "maxDepth": 2}
    reading = await library.read()
    assert paths(site, reading.opened) == ["/b"]
    assert paths(site, (await library.read()).same) == ["/", "/a", "/b"]


async def test_what_nothing_links_to_any_more_stays_while_it_answers(site: Site, tmp_path: Path) -> None:
    site.pages = {"/": page("Start", "/a"), "/a": page("A")}
    library = crawl(site, tmp_path)
    await library.read()
    site.pages["/"] = page("Start")
    assert paths(site, (await library.read()).same) == ["/a"]
    assert paths(site, library.items) == ["/", "/a"]


async def test_robots_txt_is_obeyed(site: Site, tmp_path: Path) -> None:
    site.robots = "User-agent: *\nDisallow: /\n\nUser-agent: DreamHub\nDisallow: /private\nAllow: /private/open$\n"
    site.pages = {
        "/": page("Start", "/private", "/private/open", "/public"),
        "/private": page("Private"),
        "/private/open": page("Open"),
        "/public": page("Public"),
    }
    reading = await crawl(site, tmp_path).read()
    assert paths(site, reading.found) == ["/", "/private/open", "/public"]
    assert reading.skipped == {site.address("/private"): "RobotsDisallowed"}
    assert site.asked["/private"] == 0
    assert site.asked["/robots.txt"] == 1


async def test_a_site_that_lets_nothing_be_read_is_no_success(site: Site, tmp_path: Path) -> None:
    site.robots, site.pages = "User-agent: *\nDisallow: /\n", {"/": page("Start")}
    with pytest.raises(InvalidInputError, match=r"no page was read: .*robots\.txt") as told:
        await crawl(site, tmp_path).read()
    assert told.value.code == "NothingToRead"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
async def test_a_site_without_robots_txt_may_be_read(site: Site, tmp_path: Path, status: int) -> None:
    site.robots, site.pages = status, {"/": page("Start")}
    assert len((await crawl(site, tmp_path).read()).found) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_site_that_cannot_say_is_not_read(site: Site, tmp_path: Path, status: int) -> None:
    site.robots, site.pages = status, {"/": page("Start")}
    library = crawl(site, tmp_path)
    with pytest.raises(UnavailableError, match=r"robots\.txt"):
        await library.read()
    assert site.asked["/"] == 0


async def test_of_an_endless_robots_txt_the_beginning_counts(site: Site, tmp_path: Path) -> None:
    rules = "User-agent: *\nDisallow: /private\n"
    site.robots = rules + "# filler\n" * 80_000 + "Disallow: /\n"
    site.pages = {"/": page("Start", "/private"), "/private": page("Private")}
    reading = await crawl(site, tmp_path).read()
    assert (paths(site, reading.found), paths(site, reading.skipped)) == (["/"], ["/private"])


async def test_meta_tags_and_headers_are_obeyed(site: Site, tmp_path: Path) -> None:
    hidden = '<meta name="robots" content="noindex">'
    site.pages = {
        "/": page("Start", "/hidden", "/blind", "/header") + '<a rel="nofollow" href="/untrusted">x</a>',
        "/hidden": page("Hidden", "/behind", head=hidden),
        "/blind": page("Blind", "/unseen", head='<meta name="DreamHub" content="nofollow">'),
        "/header": lambda _: web.Response(
            text=page("No"), content_type="text/html", headers={"X-Robots-Tag": "otherbot: nofollow, dreamhub: noindex"}
        ),
        "/behind": page("Behind"),
    }
    reading = await crawl(site, tmp_path, maxDepth=3).read()
    assert paths(site, reading.found) == ["/", "/behind", "/blind"]
    assert site.asked["/unseen"] == site.asked["/untrusted"] == 0


async def test_one_page_under_several_addresses_is_one_item(site: Site, tmp_path: Path) -> None:
    named = f'<link rel="canonical" href="{site.url}/list">'
    site.pages = {
        "/": page("Start", "/list?order=up", "/list?order=down", "/list?utm_source=mail", "/other"),
        "/list": page("List", head=named),
        "/list?order=up": page("List", head=named),
        "/list?order=down": page("List", head=named),
        "/other": page("Other", head=f'<link rel="canonical" href="{site.url}/">'),
    }
    reading = await crawl(site, tmp_path).read()
    assert paths(site, reading.found) == ["/", "/list", "/other"]


def _redirect(target: str, status: int = 302) -> Any:
    return lambda _: web.Response(status=status, headers={"Location": target})


async def test_redirects_are_followed_so_far_and_no_further(site: Site, tmp_path: Path) -> None:
    site.pages = {
        "/": page("Start", "/hop", "/loop", "/out", "/nowhere", "/self", "/chain0"),
        "/hop": _redirect("/target"),
        "/target": page("Target"),
        "/loop": _redirect("/pool"),
        "/pool": _redirect("/loop"),
        "/out": _redirect("https://elsewhere.example/"),
        "/nowhere": _redirect("javascript:alert(1)"),
        "/self": _redirect("/self"),
        **{f"/chain{n}": _redirect(f"/chain{n + 1}") for n in range(9)},
        "/chain9": page("The end"),
    }
    reading = await crawl(site, tmp_path).read()
    assert paths(site, reading.found) == ["/", "/target"]
    assert {path: reading.skipped[site.address(path)] for path in ("/out", "/nowhere", "/self")} == {
        "/out": "LeftTheSite",
        "/nowhere": "BadRedirect",
        "/self": "BadRedirect",
    }


async def test_where_a_start_page_leads_belongs_to_the_source(site: Site, tmp_path: Path) -> None:
    other = site.url.replace("127.0.0.1", "localhost")
    site.pages = {"/": _redirect(f"{other}/home", 301), "/home": page("Home", "/next"), "/next": page("Next")}
    reading = await crawl(site, tmp_path).read()
    assert sorted(reading.found) == [f"{other}/home", f"{other}/next"]


async def test_bombs_and_large_pages_are_left_out(site: Site, tmp_path: Path) -> None:
    bomb = gzip.compress(b"<p>" + b"0" * 2**26)
    assert len(bomb) < 2**17

    def packed(data: bytes, coding: str = "gzip") -> Any:
        headers = {"Content-Encoding": coding, "Content-Type": "text/html"}
        return lambda _: web.Response(body=data, headers=headers)

    site.pages = {
        "/": page("Start", "/bomb", "/large", "/strange", "/torn", "/good", "/image"),
        "/bomb": packed(bomb),
        "/large": b"%PDF-" + b"0" * 2**21,
        "/strange": packed(b"x", "br"),
        "/torn": packed(b"no gzip at all"),
        "/good": packed(gzip.compress(page("Good").encode())),
        "/image": lambda _: web.Response(body=b"\x89PNG", content_type="image/png"),
    }
    reading = await crawl(site, tmp_path).read()
    assert paths(site, reading.found) == ["/", "/good"]
    assert {path.removeprefix(site.url): reason for path, reason in reading.skipped.items()} == {
        "/bomb": "TooLarge",
        "/large": "TooLarge",
        "/strange": "BadEncoding",
        "/torn": "BadEncoding",
        "/image": "UnsupportedType",
    }
    assert left_in(tmp_path) == []


async def test_a_busy_site_is_asked_again_when_it_says(site: Site, tmp_path: Path) -> None:
    def busy_once(_: web.Request) -> web.Response:
        if site.asked["/busy"] == 1:
            return web.Response(status=503, headers={"Retry-After": "0"})
        return web.Response(text=page("Busy"), content_type="text/html")

    site.pages = {
        "/": page("Start", "/busy", "/later"),
        "/busy": busy_once,
        "/later": lambda _: web.Response(status=429, headers={"Retry-After": "86400"}),
    }
    reading = await crawl(site, tmp_path).read()
    assert paths(site, reading.found) == ["/", "/busy"]
    assert reading.skipped == {site.address("/later"): "PageUnavailable"}
    assert site.asked["/later"] == 1


async def test_a_killed_reading_goes_on_where_it_was(site: Site, tmp_path: Path) -> None:
    names = [f"/{n}" for n in range(60)]
    site.pages = {"/": page("Start", *names), **{name: page(name) for name in names}}
    library = crawl(site, tmp_path)

    def killed(event: Event) -> bool:
        return isinstance(event, Found) and event.key.endswith("/40")

    assert len((await library.read(killed)).found) == 41
    rest = await library.read()
    assert len(rest.found) + len(rest.same) == 61 - 25
    assert len(library.items) == 61
    repeated = [path for path, times in site.asked.items() if path != "/robots.txt" and times > 1]
    assert len(repeated) <= 25
    assert site.asked["/"] == 1


async def test_a_site_that_goes_away_is_taken_up_by_the_next_attempt(site: Site, tmp_path: Path) -> None:
    names = [f"/{n}" for n in range(10)]
    down = {name: (lambda _: web.Response(status=503, headers={"Retry-After": "600"})) for name in names}
    site.pages = {"/": page("Start", *names), **down}
    library = crawl(site, tmp_path)
    with pytest.raises(UnavailableError):
        await library.read()
    assert sum(site.asked[name] for name in names) == 5
    site.pages.update({name: page(name) for name in names})
    assert len((await library.read()).found) == 10
    assert len(library.items) == 11


async def test_sitemaps_are_read_when_asked_for(site: Site, tmp_path: Path) -> None:
    def urlset(*found: str) -> str:
        locations = "".join(f"<url><loc>{address}</loc></url>" for address in found)
        return f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{locations}</urlset>'

    index = f"<sitemapindex><sitemap><loc>{site.url}/one.xml.gz</loc></sitemap></sitemapindex>"
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa">]><urlset><url><loc>/evil</loc></url></urlset>'
    site.robots = f"Sitemap: {site.url}/index.xml\nSitemap: {site.url}/bomb.xml\n"
    site.pages = {
        "/": page("Start"),
        "/index.xml": index,
        "/bomb.xml": bomb,
        "/one.xml.gz": gzip.compress(urlset(site.address("/hidden"), "https://elsewhere.example/x").encode()),
        "/hidden": page("Hidden"),
    }
    assert paths(site, (await crawl(site, tmp_path).read()).found) == ["/"]
    assert paths(site, (await crawl(site, tmp_path, sitemap=True).read()).found) == ["/", "/hidden"]
    assert site.asked["/evil"] == 0


async def test_credentials_never_travel_readably(site: Site, tmp_path: Path) -> None:
    library = crawl(site, tmp_path)
    library.secret = {"username": "ada", "password": "secret"}
    with pytest.raises(InvalidInputError, match="only sent over https") as refused:
        library.source()
    assert refused.value.code == "InsecureCredentials"


async def test_private_addresses_are_refused_and_the_start_page_says_so(site: Site, tmp_path: Path) -> None:
    site.pages = {"/": page("Start")}
    library = crawl(site, tmp_path)
    library.networks = ()
    with pytest.raises(InvalidInputError) as refused:
        await library.read()
    assert refused.value.code == "AddressRefused"
    assert site.asked.total() == 0


async def test_checkpoints_are_small_json(site: Site, tmp_path: Path) -> None:
    site.pages = {"/": page("Start", "/a"), "/a": page("A")}
    library = crawl(site, tmp_path)
    await library.read()
    assert isinstance(library.checkpoint, Checkpoint)
    assert library.checkpoint.state["todo"] == []
    assert [depth for _, depth in library.checkpoint.state["done"]] == [0, 1]


async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An answer without an end, a byte at a time, so that no single read is ever late."""
    with suppress(OSError):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"#")
            await writer.drain()
            await asyncio.sleep(0.05)


async def test_an_answer_that_never_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_fetch, "_TIMEOUT", ClientTimeout(total=1, sock_read=20))
    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        with pytest.raises(UnavailableError, match="TimeoutError"):
            await Library(WebSource, {"urls": [url]}, tmp_path, networks=LOOPBACK).read()
