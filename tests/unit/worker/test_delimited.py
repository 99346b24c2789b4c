"""CSV: any delimiter, any encoding, rows by number."""

import csv

import pytest

from dreamhub.errors import DreamHubError
from dreamhub_worker.chunking import split
from dreamhub_worker.extract.delimited import MAX_COLUMNS, extract_csv, find_delimiter
from tests.unit.worker.office import outline, place_of


def test_rows_stand_under_their_header_and_have_their_numbers() -> None:
    lines = ["Name;City;Price", *(f"Müller {at};Brno;{at},5" for at in range(100))]
    extracted = extract_csv("\r\n".join(lines).encode("cp1252"))
    pieces = list(split(extracted))
    assert all(piece.text.startswith("| Name | City | Price |") for piece in pieces)
    assert pieces[0].page == 2
    assert pieces[0].unit == "row"
    for piece in pieces:
        assert piece.page is not None
        assert f"| Müller {piece.page - 2} |" in piece.text.splitlines()[2]
    assert extracted.pages == 0


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a,b,c\n1,2,3\n", ","),
        ("a;b;c\n1,5;2;3\n", ";"),
        ("a\tb\n1, 2\t3\n", "\t"),
        ("a|b\n1|2\n", "|"),
        ('a,b\n"x;y;z",2\n', ","),
        ("one column\nonly\n", ","),
    ],
)
def test_the_delimiter_is_the_one_that_fits(text: str, delimiter: str) -> None:
    assert find_delimiter(text) == delimiter


def test_quotes_and_line_breaks_in_fields() -> None:
    extracted = extract_csv(b'Name,Note\n"Pump, large","two\nlines and ""quotes"""\n\nHose,\n')
    assert outline(extracted) == [
        ((), '| Name | Note |\n| --- | --- |\n| Pump, large | two lines and "quotes" |\n| Hose |  |')
    ]
    assert place_of(extracted, "Pump") == ("row", 2)


def test_a_table_of_numbers_has_no_header() -> None:
    assert extract_csv(b"1,2\n3,4\n").text.strip() == "| 1 | 2 |\n| 3 | 4 |"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"a,b\n" + b"x" * 1_100_000 + b",1\n", "BadCSV"),
        (b"," * (MAX_COLUMNS + 1) + b"\n", "TooLarge"),
        (b"\n \n", "NoText"),
        (b" , \n,\n", "NoText"),
    ],
    ids=["a field too long", "too many columns", "blank", "empty cells"],
)
def test_why_a_csv_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(DreamHubError) as caught:
        extract_csv(data)
    assert caught.value.code == code


def test_a_csv_is_read_alike_whatever_was_read_before() -> None:
    data = ("a;b\n" + f"{'x' * 200_000};y\n").encode()
    csv.field_size_limit(131_072)  # as a new process has it
    first = extract_csv(data)
    assert first == extract_csv(data)
    assert first.text.startswith("a: x")
