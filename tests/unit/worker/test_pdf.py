"""Text, pages and sections of PDFs, and the reasons against some."""

import pytest

from dreamhub.errors import InvalidInputError
from dreamhub_worker.extract.extracted import Extracted
from dreamhub_worker.extract.pdf import extract_pdf, join_line
from tests.unit.worker.pdfs import BODY, typeset, without_pages

SENTENCE = "Everybody who works here has thirty days of paid leave in each calendar year. "


def page_of(extracted: Extracted, offset: int) -> int:
    place = extracted.place_at(offset)
    assert place is not None
    assert place.unit == "page"
    return place.number


def test_larger_lines_are_headings_and_pages_are_known() -> None:
    data = typeset(
        [
            [(24, "Employee Handbook"), (BODY, "For everyone.")],
            [(16, "1 Leave"), (BODY, SENTENCE * 8), (13, "1.1 Carry over"), (BODY, "Until the end of March.")],
            [(16, "2 Pay"), (BODY, "On the last day of the month.")],
        ]
    )
    extracted = extract_pdf(data)
    assert extracted.title == "Employee Handbook"
    assert extracted.pages == 3
    found = [
        (section.heading_path, page_of(extracted, section.start), extracted.text[section.start : section.end].strip())
        for section in extracted.sections
    ]
    assert found == [
        ((), 1, "For everyone."),
        (("1 Leave",), 2, (SENTENCE * 8).strip()),
        (("1 Leave", "1.1 Carry over"), 2, "Until the end of March."),
        (("2 Pay",), 3, "On the last day of the month."),
    ]


def test_a_section_goes_on_over_a_page_break() -> None:
    data = typeset([[(18, "Leave"), (BODY, SENTENCE)], [(BODY, SENTENCE)], [(18, "Pay"), (BODY, SENTENCE)]])
    extracted = extract_pdf(data)
    assert [section.heading_path for section in extracted.sections] == [("Leave",), ("Pay",)]
    assert page_of(extracted, extracted.sections[0].end - 10) == 2


def test_a_heading_over_two_lines_is_one() -> None:
    long = "What every person on the night shift of the plant should know before the first day at work"
    extracted = extract_pdf(typeset([[(20, long), (BODY, SENTENCE * 3)], [(20, "Next"), (BODY, SENTENCE)]]))
    assert extracted.sections[0].heading_path == (long,)


def test_a_pdf_in_one_size_has_no_headings() -> None:
    extracted = extract_pdf(typeset([[(BODY, "One line."), (BODY, SENTENCE)]]))
    assert extracted.title is None
    assert [section.heading_path for section in extracted.sections] == [()]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (typeset([[(BODY, "secret")]], password="secret"), "EncryptedPDF"),
        (without_pages(), "EmptyDocument"),
        (typeset([[]]), "NoText"),
        (b"%PDF-1.7\nnothing of use", "CorruptPDF"),
        (typeset([[(BODY, SENTENCE)]])[:300], "CorruptPDF"),
    ],
    ids=["encrypted", "no pages", "no text", "garbage", "cut off"],
)
def test_why_a_pdf_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        extract_pdf(data)
    assert caught.value.code == code


def test_the_reason_is_that_of_this_document_and_not_of_the_one_before() -> None:
    """PDFium keeps its last error across documents."""
    for data, code in [
        (typeset([[(BODY, "x")]], password="p"), "EncryptedPDF"),
        (without_pages(), "EmptyDocument"),
    ] * 2:
        with pytest.raises(InvalidInputError) as caught:
            extract_pdf(data)
        assert caught.value.code == code


@pytest.mark.parametrize(
    ("line", "following", "joined"),
    [
        ("a line as wide as the page", "goes on", "a line as wide as the page "),
        ("a short one", "new paragraph", "a short one\n"),
        ("a line broken in the mid\ufffe", "dle", "a line broken in the mid"),
        ("这一行和页面一样宽没有空格的中文文", "继续", "这一行和页面一样宽没有空格的中文文"),
        ("the last line of the page..", "", "the last line of the page..\n"),
    ],
)
def test_a_typesetters_break_is_no_boundary(line: str, following: str, joined: str) -> None:
    assert join_line(line, 11.0, (following, 11.0), widest=len(line) if "short" not in line else 40) == joined


def test_lines_of_other_sizes_never_join() -> None:
    assert join_line("A heading as wide as this", 20.0, ("text", 11.0), widest=25).endswith("\n")
