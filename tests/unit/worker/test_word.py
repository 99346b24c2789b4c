"""Word files: what is in them, in which order, under which heading and on which page."""

import docx
import pytest

from dreamhub.errors import DreamHubError
from dreamhub_worker.extract.word import extract_docx
from tests.unit.worker.office import STRICT_W, W, handmade_docx, outline, place_of, saved, zipped


def p(text: str, properties: str = "") -> str:
    return f"<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def test_headings_lists_tables_and_comments_of_a_file_by_python_docx() -> None:
    document = docx.Document()
    document.add_heading("Handbook", 0)
    document.add_heading("Leave", 1)
    document.add_paragraph("Thirty days.")
    document.add_paragraph("with pay", style="List Bullet")
    document.add_paragraph("each year", style="List Bullet")
    document.add_heading("Carry over", 2)
    paragraph = document.add_paragraph("Until March.")
    document.add_comment(paragraph.runs, text="or April?", author="Eva Nová")
    table = document.add_table(rows=2, cols=2)
    for row, values in zip(table.rows, [("Grade", "Days"), ("A", "30")], strict=True):
        for cell, value in zip(row.cells, values, strict=True):
            cell.text = value

    extracted = extract_docx(saved(document))

    assert extracted.title == "Handbook"
    assert outline(extracted) == [
        (("Leave",), "Thirty days.\n\n- with pay\n- each year"),
        (
            ("Leave", "Carry over"),
            "Until March.\n\n[Comment by Eva Nová: or April?]\n\n| Grade | Days |\n| --- | --- |\n| A | 30 |",
        ),
    ]
    assert extracted.pages == 0


def test_what_python_docx_does_not_show_is_read() -> None:
    """Content controls, tracked insertions, links and text boxes; not deletions, hidden text and field codes."""
    body = (
        "<w:sdt><w:sdtContent>" + p("In a control.") + "</w:sdtContent></w:sdt>"
        "<w:p><w:ins><w:r><w:t>Inserted</w:t></w:r></w:ins><w:del><w:r><w:t>Deleted</w:t></w:r></w:del>"
        "<w:moveFrom><w:r><w:t>Moved</w:t></w:r></w:moveFrom>"
        "<w:r><w:t> and </w:t></w:r><w:hyperlink><w:r><w:t>linked</w:t></w:r></w:hyperlink>"
        "<w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r><w:r><w:instrText>PAGEREF x</w:instrText></w:r>"
        "<w:r><w:tab/><w:t>tab</w:t><w:noBreakHyphen/><w:t>bed</w:t></w:r></w:p>"
        '<w:p><w:r><mc:AlternateContent xmlns:mc="m"><mc:Choice><w:txbxContent>' + p("In a box.") + "</w:txbxContent>"
        "</mc:Choice><mc:Fallback><w:txbxContent>" + p("In a box.") + "</w:txbxContent></mc:Fallback>"
        "</mc:AlternateContent></w:r></w:p>"
    )
    assert extract_docx(handmade_docx(body)).text.split("\n\n") == [
        "In a control.",
        "Inserted and linked\ttab-bed",
        "In a box.",
        "",
    ]


def test_notes_stand_behind_the_paragraph_that_refers_to_them() -> None:
    body = (
        '<w:p><w:r><w:t>Ten days</w:t></w:r><w:r><w:footnoteReference w:id="2"/></w:r></w:p>'
        '<w:p><w:r><w:t>Twelve</w:t><w:endnoteReference w:id="1"/></w:r></w:p>'
    )
    related = {
        "footnotes": f'<w:footnotes xmlns:w="{W}"><w:footnote w:id="-1">{p("line")}</w:footnote>'
        f'<w:footnote w:id="2">{p("by law")}</w:footnote></w:footnotes>',
        "endnotes": f'<w:endnotes xmlns:w="{W}"><w:endnote w:id="1">{p("by contract")}</w:endnote></w:endnotes>',
    }
    extracted = extract_docx(handmade_docx(body, related=related))
    assert extracted.text.strip() == "Ten days\n\n[Note 1: by law]\n\nTwelve\n\n[Note 2: by contract]"


def test_pages_are_those_that_word_has_rendered() -> None:
    body = (
        p("First.")
        + "<w:p><w:r><w:lastRenderedPageBreak/><w:t>Second.</w:t></w:r></w:p>"
        + "<w:p><w:r><w:t>Begins on two, </w:t><w:lastRenderedPageBreak/><w:t>ends on three.</w:t></w:r></w:p>"
        + p("Third.")
    )
    extracted = extract_docx(handmade_docx(body))
    places = [place_of(extracted, words) for words in ("First", "Second", "Begins", "Third")]
    assert places == [("page", 1), ("page", 2), ("page", 2), ("page", 3)]
    assert extracted.pages == 3


def test_a_file_without_rendered_breaks_has_no_pages() -> None:
    assert place_of(extract_docx(handmade_docx(p("Words."))), "Words") is None


def test_headings_are_known_in_every_language_and_by_inheritance() -> None:
    styles = (
        f'<w:styles xmlns:w="{W}"><w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>'
        '<w:style w:styleId="Own"><w:name w:val="Own"/><w:basedOn w:val="berschrift1"/></w:style>'
        '<w:style w:styleId="Out"><w:name w:val="Out"/><w:pPr><w:outlineLvl w:val="1"/></w:pPr></w:style>'
        '<w:style w:styleId="Loop"><w:name w:val="Loop"/><w:basedOn w:val="Loop"/></w:style>'
        '<w:style w:styleId="Verzeichnis1"><w:name w:val="toc 1"/></w:style></w:styles>'
    )
    body = (
        p("Urlaub 1", '<w:pStyle w:val="Verzeichnis1"/>')
        + p("Urlaub", '<w:pStyle w:val="Own"/>')
        + p("Tage", '<w:pStyle w:val="Out"/>')
        + p("Dreißig.", '<w:pStyle w:val="Loop"/>')
        + p("Lohn", '<w:outlineLvl w:val="0"/>')
        + p("Monatlich.")
    )
    extracted = extract_docx(handmade_docx(body, related={"styles": styles}))
    assert outline(extracted) == [(("Urlaub", "Tage"), "Dreißig."), (("Lohn",), "Monatlich.")]


def test_merged_cells_are_filled_and_frames_are_no_tables() -> None:
    def cell(text: str, properties: str = "") -> str:
        return f"<w:tc><w:tcPr>{properties}</w:tcPr>{p(text)}</w:tc>"

    rows = [
        [cell("Region"), cell("City"), cell("Sales")],
        [cell("North", '<w:vMerge w:val="restart"/>'), cell("Brno"), cell("5")],
        [cell("", "<w:vMerge/>"), cell("Both", '<w:gridSpan w:val="2"/>')],
    ]
    body = "<w:tbl>" + "".join(f"<w:tr>{''.join(row)}</w:tr>" for row in rows) + "</w:tbl>"
    body += f"<w:tbl><w:tr>{cell('A frame.')}</w:tr></w:tbl>"
    text = extract_docx(handmade_docx(body)).text
    assert text.strip() == (
        "| Region | City | Sales |\n| --- | --- | --- |\n| North | Brno | 5 |\n| North | Both |  |\n\nA frame."
    )


def test_the_strict_edition_of_the_standard_is_the_same() -> None:
    body = p("Strict words.")
    assert extract_docx(handmade_docx(body, namespace=STRICT_W)).text.strip() == "Strict words."


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (handmade_docx(p(" ")), "NoText"),
        (handmade_docx(p("x"), kind="application/vnd.ms-word.document.macroEnabled.main+xml"), "MacroEnabled"),
        (zipped({"[Content_Types].xml": "<Types/>", "word/document.xml": "<x/>"}), "CorruptOffice"),
        (handmade_docx("<w:p><w:r>"), None),
    ],
    ids=["blank", "macros", "no relations", "not well-formed"],
)
def test_why_a_file_is_refused(data: bytes, code: str | None) -> None:
    with pytest.raises(DreamHubError) as caught:
        extract_docx(data)
    assert code in {caught.value.code, None}
