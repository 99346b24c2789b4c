"""What a crawl decides without a network: addresses, links, robots' words, what is known and what is still to do."""

import gzip
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from dreamhub.errors import InvalidInputError
from dreamhub_worker.sources.credentials import build_authorization, build_tls
from dreamhub_worker.sources.web_address import canonical, may_be_document, parse_start, same_page, site_of
from dreamhub_worker.sources.web_fetch import build_login
from dreamhub_worker.sources.web_frontier import Frontier, Limits, Target
from dreamhub_worker.sources.web_links import MAX_LINKS, directives, read_page
from dreamhub_worker.sources.web_sitemap import MAX_BYTES, parse_sitemap
from dreamhub_worker.sources.web_visit import conditions, retry_after, revision_of

BASE = URL("https://example.org/docs/index.html?x=1")


@pytest.mark.parametrize(
    ("link", "address"),
    [
        ("a", "https://example.org/docs/a"),
        ("/a", "https://example.org/a"),
        ("../a/./b", "https://example.org/a/b"),
        ("https://example.org?y=2", "https://example.org/?y=2"),
        ("?y=2", "https://example.org/docs/index.html?y=2"),
        ("#part", "https://example.org/docs/index.html?x=1"),
        ("  a\n", "https://example.org/docs/a"),
        ("HTTPS://EXAMPLE.ORG:443/A", "https://example.org/A"),
        ("http://example.org:80", "http://example.org/"),
        ("//other.org/x", "https://other.org/x"),
        ("/a?utm_source=x&b=1&fbclid=2#c", "https://example.org/a?b=1"),
        ("/ä?ö=ü", "https://example.org/%C3%A4?%C3%B6=%C3%BC"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("/a/../../../etc", "https://example.org/etc"),
        ("mailto:a@example.org", None),
        ("javascript:alert(1)", None),
        ("data:text/html,x", None),
        ("file:///etc/passwd", None),
        ("ftp://example.org/", None),
        ("gopher://example.org/", None),
        ("unix:///run/docker.sock", None),
        ("http+unix://%2Frun%2Fdocker.sock/", None),
        ("https://user:password@example.org/", None),
        ("https://user@example.org/", None),
        ("https:///a", "https://example.org/a"),
        ("https://example.org:99999/", None),
        ("https://example.org\\@evil.example/", None),
        ("/" + "a" * 3000, None),
    ],
)
def test_links_have_one_spelling(link: str, address: str | None) -> None:
    found = canonical(link, BASE)
    assert (None if found is None else str(found)) == address


@given(st.text(max_size=200))
def test_a_spelling_is_its_own_spelling(link: str) -> None:
    found = canonical(link, BASE)
    assert found is None or canonical(str(found), None) == found


def test_a_start_page_is_an_address_of_its_own() -> None:
    assert parse_start("/docs") is None
    assert parse_start("https://example.org") == URL("https://example.org/")


def test_a_site_is_a_host_and_a_port() -> None:
    assert site_of(URL("http://example.org/")) == site_of(URL("https://example.org/a")) == "example.org:"
    assert site_of(URL("https://example.org:8443/")) == "example.org:8443"


def test_what_is_never_a_document_is_not_asked_for() -> None:
    assert not any(may_be_document(URL(f"https://example.org/a{end}")) for end in (".PNG", ".js", ".tar.gz", ".woff2"))
    assert all(may_be_document(URL(f"https://example.org/a{end}")) for end in ("", ".pdf", ".html", ".docx", ".net/"))


def test_a_page_may_only_rename_its_query() -> None:
    assert same_page(URL("https://example.org/a/"), URL("https://example.org/a?page=2"))
    assert not same_page(URL("https://example.org/"), URL("https://example.org/a"))
    assert not same_page(URL("https://other.org/a"), URL("https://example.org/a"))


def test_links_of_a_page() -> None:
    html = """
      <base href="/manual/"> <base href="/ignored/">
      <a href="one">1</a> <A HREF='two#x'>2</A> <area href=/three> <a href="one">again</a> <a>none</a>
      <a rel="external nofollow" href="four">4</a> <img src="five.png"> <a href="six.zip">6</a>
      <!-- <a href="seven"> -->
      <script>document.write('<a href="eight">')</script>
    """
    assert [url.path for url in read_page(html, BASE).links] == ["/manual/one", "/manual/two", "/three"]


def test_a_declaration_that_is_none_ends_the_links_and_nothing_else() -> None:
    assert [url.path for url in read_page("<a href='/one'> <![ <a href='/two'>", BASE).links] == ["/one"]


@pytest.mark.parametrize("html", ["<a href='x' " * 200_000, "<!--" * 500_000, "<" * 2_000_000, "&" * 2_000_000])
def test_hostile_markup_takes_seconds_at_most(html: str) -> None:
    begun = time.process_time()
    read_page(html, BASE)
    assert time.process_time() - begun < 60


def test_only_so_many_links_of_a_page_count() -> None:
    html = "".join(f'<a href="/{n}">x</a>' for n in range(3 * MAX_LINKS))
    assert len(read_page(html, BASE).links) == MAX_LINKS


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("noindex, nofollow", {"noindex", "nofollow"}),
        ("NOINDEX", {"noindex"}),
        ("googlebot: noindex", set()),
        ("dreamhub: noindex", {"noindex"}),
        ("googlebot: noindex, dreamhub: none", {"none"}),
        ("", {""}),
    ],
)
def test_robots_words_are_for_everyone_or_for_us(text: str, words: set[str]) -> None:
    assert directives(text) == words


LIMITS = Limits(depth=1, pages=3)


def begin(state: object = None, *starts: str, scope: str = "s", limits: Limits = LIMITS) -> Frontier:
    assert state is None or isinstance(state, dict)
    return Frontier.begin(limits, scope, starts or ("/",), state)


def walk(frontier: Frontier) -> list[str]:
    told = []
    while (target := frontier.take()) is not None:
        frontier.keep(target)
        told.append(target.url)
    return told


def test_a_frontier_has_a_depth_and_a_size() -> None:
    frontier = begin()
    frontier.offer([Target("/a", 1), Target("/deep", 2), Target("/a", 1), Target("/b", 1), Target("/full", 1)])
    assert walk(frontier) == ["/", "/a", "/b"]


def test_a_reading_that_ended_is_followed_by_one_of_all_that_is_known() -> None:
    frontier = begin()
    frontier.offer([Target("/a", 1)])
    walk(frontier)
    again = begin(frontier.state())
    assert (walk(again), again.reread) == (["/", "/a"], False)


def test_a_reading_that_was_cut_short_goes_on() -> None:
    frontier = begin()
    frontier.offer([Target("/a", 1)])
    taken = frontier.take()
    assert taken is not None
    frontier.keep(taken)
    assert walk(begin(frontier.state())) == ["/a"]


def test_a_larger_scope_reads_all_again_for_its_links() -> None:
    frontier = begin()
    frontier.offer([Target("/a", 1)])
    walk(frontier)
    larger = begin(frontier.state(), scope="larger")
    assert larger.reread
    assert walk(larger) == ["/", "/a"]
    assert not begin(larger.state(), scope="larger").reread


def test_a_page_under_another_name_is_kept_once() -> None:
    frontier = begin(None, "/?a", "/?b")
    one, two = frontier.take(), frontier.take()
    assert one is not None
    assert two is not None
    assert [frontier.keep(one, "/"), frontier.keep(two, "/")] == [True, False]
    assert frontier.state()["done"] == [["/", 0]]


def test_addresses_have_a_size_together() -> None:
    frontier = begin(limits=Limits(1, 5000))
    frontier.offer(Target(f"/{n:01999}", 1) for n in range(1000))
    assert 300 < len(frontier.todo) < 400


def test_hops_end() -> None:
    frontier = begin()
    frontier.offer([Target("/five", 1, hops=5), Target("/six", 1, hops=6)])
    assert walk(frontier) == ["/", "/five"]


def test_revisions_are_what_the_site_says() -> None:
    headers = {"ETag": 'W/"x"', "Last-Modified": "Sun, 22 Nov 2026 00:00:00 GMT", "Date": "now"}
    asked = conditions(revision_of(headers))
    assert asked == {"If-None-Match": 'W/"x"', "If-Modified-Since": "Sun, 22 Nov 2026 00:00:00 GMT"}
    assert revision_of({"Date": "now"}) == ""
    assert conditions("") == {}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0), ("120", 120), ("-1", None), ("Sun, 22 Nov 2026", None), ("9" * 9, None), ("", None)],
)
def test_retry_after_in_seconds(value: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": value}) == seconds


def test_sitemaps_in_any_namespace_and_packed() -> None:
    data = b'<urlset xmlns="urn:x"><url><loc> https://example.org/a </loc><lastmod>2026</lastmod></url></urlset>'
    assert parse_sitemap(data).locations == ("https://example.org/a",)
    assert parse_sitemap(gzip.compress(data)).locations == ("https://example.org/a",)
    assert parse_sitemap(b"<sitemapindex><sitemap><loc>x</loc></sitemap></sitemapindex>").kind == "sitemapindex"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no xml",
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><urlset/>',
        b'<!DOCTYPE x [<!ENTITY a "aaa"><!ENTITY b "&a;&a;">]><urlset><url><loc>&b;</loc></url></urlset>',
        gzip.compress(b"<urlset>" + b" " * (2 * MAX_BYTES)),
        b"\x1f\x8bno gzip",
    ],
)
def test_hostile_sitemaps_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidInputError):
        parse_sitemap(data)


def test_credentials_of_a_secret() -> None:
    assert build_authorization({}) is None
    assert build_authorization({"username": "ada", "password": "x\n"}) == "Basic YWRhOng="
    assert build_authorization({"token": "t\n"}) == "Bearer t"
    for secret in ({"username": "ada"}, {"username": "a\r\nX: y", "password": "p"}, {"token": "a\nb"}):
        with pytest.raises(InvalidInputError):
            build_authorization(secret)
    with pytest.raises(InvalidInputError, match=r"ca\.crt"):
        build_tls({"ca.crt": "no certificate"})


def test_credentials_go_to_their_origin_alone() -> None:
    login = build_login("Basic x", [URL("https://example.org/a")])
    assert login.headers_for(URL("https://example.org/b")) == {"Authorization": "Basic x"}
    for other in ("http://example.org/b", "https://example.org:8443/", "https://www.example.org/", "https://evil.org/"):
        assert login.headers_for(URL(other)) == {}
    assert "Basic" not in repr(login)
