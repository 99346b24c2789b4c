"""Presentations: slide by slide, with everything that is said on one."""

import io
import zipfile

import pytest
from pptx import Presentation
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches

from dreamhub.errors import InvalidInputError
from dreamhub_worker.extract.slides import extract_pptx
from tests.unit.worker.office import edited, outline, place_of, saved

TITLE, CONTENT, TITLE_ONLY, BLANK = 0, 1, 5, 6
AREA = (0, 0, Inches(4), Inches(3))


def deck() -> bytes:
    made = Presentation()
    first = made.slides.add_slide(made.slide_layouts[TITLE])
    first.shapes.title.text = "Year in review"
    first.placeholders[1].text = "For the board"
    second = made.slides.add_slide(made.slide_layouts[CONTENT])
    second.shapes.title.text = "Sales"
    frame = second.placeholders[1].text_frame
    frame.text = "Up by a tenth"
    inner = frame.add_paragraph()
    inner.text, inner.level = "in the north", 1
    group = second.shapes.add_group_shape()
    group.shapes.add_textbox(*AREA).text_frame.text = "In a group"
    second.notes_slide.notes_text_frame.text = "Thank the team."
    third = made.slides.add_slide(made.slide_layouts[TITLE_ONLY])
    third.shapes.title.text = "Prices"
    table = third.shapes.add_table(2, 2, *AREA).table
    for at, value in enumerate(("Item", "Price", "Pump", "30")):
        table.cell(at // 2, at % 2).text = value
    third._element.set("show", "0")
    fourth = made.slides.add_slide(made.slide_layouts[BLANK])
    data = CategoryChartData()
    data.categories = ["2024", "2025"]
    data.add_series("Pumps", (1.5, 2))
    data.add_series("Hoses", (3, 4))
    fourth.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, *AREA, data)
    return saved(made)


def test_each_slide_is_a_section_on_its_number() -> None:
    extracted = extract_pptx(deck())
    assert extracted.title == "Year in review"
    assert extracted.pages == 4
    assert outline(extracted) == [
        (("Year in review",), "For the board"),
        (("Sales",), "Up by a tenth\n  - in the north\n\nIn a group\n\nNotes: Thank the team."),
        (("Prices (hidden)",), "| Item | Price |\n| --- | --- |\n| Pump | 30 |"),
        ((), "|  | Pumps | Hoses |\n| --- | --- | --- |\n| 2024 | 1.5 | 3 |\n| 2025 | 2 | 4 |"),
    ]
    assert [place_of(extracted, words) for words in ("For the", "Thank", "Pump", "2024")] == [
        ("slide", number) for number in (1, 2, 3, 4)
    ]


def test_slides_come_in_the_order_in_which_they_are_shown() -> None:
    made = Presentation()
    for name in ("one", "two"):
        made.slides.add_slide(made.slide_layouts[TITLE_ONLY]).shapes.title.text = name
        made.slides[-1].shapes.add_textbox(*AREA).text_frame.text = f"text of {name}"
    listing = made.slides._sldIdLst
    listing.append(listing[0])
    extracted = extract_pptx(saved(made))
    assert [path for path, _ in outline(extracted)] == [("two",), ("one",)]
    assert place_of(extracted, "text of two") == ("slide", 1)


def test_comments_and_diagrams_are_read() -> None:
    kinds = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    comments = b'<p:cmLst xmlns:p="p"><p:cm><p:text>Is this right?</p:text></p:cm></p:cmLst>'
    paragraph = b'<a:p xmlns:a="a"><a:r><a:t>Plan</a:t></a:r></a:p>'
    diagram = b'<d:dataModel xmlns:d="d"><d:pt><d:t>' + paragraph + b"</d:t></d:pt></d:dataModel>"
    frame = (
        b'<p:graphicFrame><a:graphic><a:graphicData><dgm:relIds xmlns:dgm="d" r:dm="rId91"/></a:graphicData>'
        b"</a:graphic></p:graphicFrame></p:spTree>"
    )
    relations = "".join(
        f'<Relationship Id="rId9{at}" Type="{kinds}/{kind}" Target="../{kind}/x.xml"/>'
        for at, kind in enumerate(("comments", "diagramData"))
    ).encode()

    def change(name: str, content: bytes) -> bytes:
        if name == "ppt/slides/_rels/slide1.xml.rels":
            return content.replace(b"</Relationships>", relations + b"</Relationships>")
        return content.replace(b"</p:spTree>", frame) if name == "ppt/slides/slide1.xml" else content

    made = Presentation()
    made.slides.add_slide(made.slide_layouts[TITLE_ONLY]).shapes.title.text = "Draft"
    buffer = io.BytesIO(edited(saved(made), change))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("ppt/comments/x.xml", comments)
        archive.writestr("ppt/diagramData/x.xml", diagram)
    assert outline(extract_pptx(buffer.getvalue())) == [(("Draft",), "Plan\n\n[Comment: Is this right?]")]


def test_a_presentation_without_slides_or_text_is_refused() -> None:
    empty = Presentation()
    with pytest.raises(InvalidInputError) as caught:
        extract_pptx(saved(empty))
    assert caught.value.code == "EmptyDocument"
    empty.slides.add_slide(empty.slide_layouts[BLANK])
    with pytest.raises(InvalidInputError) as caught:
        extract_pptx(saved(empty))
    assert caught.value.code == "NoText"
