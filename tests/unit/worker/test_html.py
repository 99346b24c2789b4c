"""The main text of a page, with its headings."""

import pytest

from dreamhub.errors import InvalidInputError
from dreamhub_worker.extract.html import declared_charset, extract_html

PAGE = """<!doctype html><html><head><meta charset="utf-8"><title>Leave policy - Acme</title></head><body>
<nav><ul><li><a href="/">Home</a></li><li><a href="/imprint">Imprint</a></li></ul></nav>
<main><article><h1>Leave policy</h1><p>Everybody gets thirty days of leave in each calendar year, with pay.</p>
<h2>Carry over</h2><p>Unused days may be carried over until the end of March of the following year.</p>
<table><tr><th>Grade</th><th>Days</th></tr><tr><td>A</td><td>30</td></tr></table></article></main>
<footer>Copyright Acme, all rights reserved, imprint and privacy</footer></body></html>"""


def test_headings_give_the_outline_and_navigation_is_left_out() -> None:
    extracted = extract_html(PAGE.encode())
    assert extracted.title == "Leave policy"
    assert [section.heading_path for section in extracted.sections] == [(), ("Carry over",)]
    assert "thirty days" in extracted.text
    assert "| A | 30 |" in extracted.text
    assert "Copyright" not in extracted.text


def test_a_page_without_headings_is_called_by_its_title() -> None:
    page = b"<html><head><title> Opening hours </title></head><body><p>We open at nine.</p></body></html>"
    assert extract_html(page).title == "Opening hours"


@pytest.mark.parametrize(
    "words", ["Boats are lifted in October. ", "Boats are lifted in October. " * 30], ids=["short", "long"]
)
@pytest.mark.parametrize(
    "page",
    [
        "<body>{}</body>",
        "<body><main>{}</main></body>",
        "<body><div id=content><div>{}</div></div></body>",
        "<body><article>Teaser.</article>{}</body>",
    ],
    ids=["bare", "main", "divisions", "teaser"],
)
def test_headings_lists_and_tables_are_kept_wherever_they_stand(page: str, words: str) -> None:
    parts = (
        f"<h1>Harbour</h1><h2>Winter</h2><p>{words}</p><h2>Prices</h2><ul><li>Crane</li><li>Slip</li></ul>"
        "<table><tr><th>Item</th><th>Price</th></tr><tr><td>Crane</td><td>300</td></tr></table>"
    )
    furniture = "<nav><a href=/>Home</a></nav>", "<footer>All rights reserved</footer>"
    extracted = extract_html(f"<html>{page.format(furniture[0] + parts + furniture[1])}</html>".encode())
    assert {section.heading_path[-1] for section in extracted.sections if section.heading_path} == {"Winter", "Prices"}
    assert "- Crane\n- Slip" in extracted.text
    assert "| Crane | 300 |" in extracted.text
    assert "Home" not in extracted.text
    assert "rights" not in extracted.text


def test_a_fragment_is_a_page() -> None:
    assert extract_html(b"<p>Only this.</p>").text == "Only this."


def test_the_declared_encoding_counts() -> None:
    page = '<html><head><meta charset="iso-8859-1"></head><body><p>Größe und Gewicht</p></body></html>'
    assert "Größe" in extract_html(page.encode("latin-1")).text


def test_a_page_that_breaks_its_declaration_is_refused() -> None:
    with pytest.raises(InvalidInputError) as caught:
        extract_html(b'<html><head><meta charset="utf-8"></head><body><p>Gr\xf6\xdfe</p></body></html>')
    assert caught.value.code == "InvalidEncoding"


@pytest.mark.parametrize("page", [b"<html><body></body></html>", b"<p> </p>", b"<html><script>x()</script></html>"])
def test_a_page_without_text_is_refused(page: bytes) -> None:
    with pytest.raises(InvalidInputError) as caught:
        extract_html(page)
    assert caught.value.code == "NoText"


@pytest.mark.parametrize(
    ("head", "charset"),
    [
        (b'<meta charset="gb18030">', "gb18030"),
        (b"<meta http-equiv=Content-Type content='text/html; charset=shift_jis'>", "shift_jis"),
        (b'<?xml version="1.0" encoding="utf-16"?>', "utf-16"),
        (b"<p>charset</p>", None),
    ],
)
def test_where_an_encoding_is_declared(head: bytes, charset: str | None) -> None:
    assert declared_charset(head) == charset


def test_a_long_table_repeats_its_header() -> None:
    rows = "".join(f"<tr><td>Part number {at} of the list</td><td>{at}</td></tr>" for at in range(80))
    table = f"<table><tr><th>Name</th><th>Price</th></tr>{rows}</table>"
    article = f"<article><h1>Prices</h1><p>All prices hold until May of next year.</p>{table}</article>"
    page = f"<html><body>{article}</body></html>"
    extracted = extract_html(page.encode())
    pieces = [extracted.text[section.start : section.end] for section in extracted.sections]
    tables = [piece for piece in pieces if "Part number" in piece]
    assert len(tables) > 3
    assert all(piece.lstrip().startswith("| Name | Price |") for piece in tables)
