"""Workbooks: sheets by name, tables under their headers, values as people see them."""

import io
from datetime import date, datetime, time

import pytest
from openpyxl import Workbook
from openpyxl.comments import Comment

from dreamhub.errors import DreamHubError
from dreamhub_worker.chunking import split
from dreamhub_worker.extract.sheets import extract_xlsx, show_value
from tests.unit.worker.office import edited, outline, place_of, zipped


def stored(workbook: Workbook) -> bytes:
    buffer = io.BytesIO()
    workbook.save(buffer)
    return buffer.getvalue()


def filled(rows: list[list[object]], title: str = "Prices") -> Workbook:
    workbook = Workbook()
    sheet = workbook.worksheets[0]
    sheet.title = title
    for row in rows:
        sheet.append(row)
    return workbook


def test_a_sheet_is_a_section_and_its_captions_stand_above_the_table() -> None:
    workbook = filled([["Price list"], ["Item", "Price"], ["Pump", 30], ["Hose", 4.5], [], ["May"]])
    sheet = workbook.worksheets[0]
    sheet["B3"].comment = Comment("too low?", "Eva")
    extracted = extract_xlsx(stored(workbook))
    [(path, text)] = outline(extracted)
    assert path == ("Prices",)
    assert text.split("\n\n") == [
        "Price list",
        "| Item | Price |\n| --- | --- |\n| Pump | 30 |\n| Hose | 4.5 |",
        "| May |",
        "[Comment at B3 by Eva: too low?]",
    ]
    assert extracted.title is None


def test_every_piece_of_a_long_table_has_its_header_and_sheet() -> None:
    workbook = filled([["Item", "Price"], *([f"A part with a long name {at}", at] for at in range(1_200))])
    pieces = list(split(extract_xlsx(stored(workbook))))
    assert len(pieces) > 10
    assert all(piece.text.startswith("| Item | Price |\n| --- | --- |\n") for piece in pieces)
    assert {(piece.heading_path, piece.unit, piece.page) for piece in pieces} == {(("Prices",), "sheet", 1)}
    assert sum(piece.text.count("| A part") for piece in pieces) == 1_200


def test_hidden_sheets_are_marked_and_machinery_is_left_out() -> None:
    workbook = filled([["a", "b"], ["1", "2"]])
    hidden, machinery = workbook.create_sheet("Costs"), workbook.create_sheet("Lookup")
    hidden.append(["secret"])
    machinery.append(["internal"])
    hidden.sheet_state, machinery.sheet_state = "hidden", "veryHidden"
    extracted = extract_xlsx(stored(workbook))
    assert [path for path, _ in outline(extracted)] == [("Prices",), ("Costs (hidden)",)]
    assert place_of(extracted, "secret") == ("sheet", 2)
    assert extracted.pages == 2


def test_tables_parted_by_an_empty_row_are_two_but_one_header_may_serve_both() -> None:
    workbook = filled([["Item", "Price"], ["Pump", "30"], [], ["4", "5"], [], ["Name", "City"], ["Eva", "Brno"]])
    [(_, text)] = outline(extract_xlsx(stored(workbook)))
    assert text.split("\n\n") == [
        "| Item | Price |\n| --- | --- |\n| Pump | 30 |",
        "| Item | Price |\n| --- | --- |\n| 4 | 5 |",
        "| Name | City |\n| --- | --- |\n| Eva | Brno |",
    ]


@pytest.mark.parametrize(
    ("value", "number_format", "shown"),
    [
        (0.125, "0.0%", "12.5%"),
        (1.0, "General", "1"),
        (0.1 + 0.2, "General", "0.3"),
        (True, "General", "TRUE"),
        (datetime.fromisoformat("2026-01-05"), "yyyy", "2026-01-05"),
        (datetime.fromisoformat("2026-01-05T09:30"), "yyyy", "2026-01-05 09:30"),
        (date(2026, 1, 5), "yyyy", "2026-01-05"),
        (time(9, 30), "h", "09:30:00"),
        ("#N/A", "General", ""),
        ("  # 1  ", "General", "# 1"),
    ],
)
def test_how_a_value_is_shown(value: object, number_format: str, shown: str) -> None:
    assert show_value(value, number_format) == shown


def test_one_text_shown_a_thousand_times_is_counted_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dreamhub_worker.extract.text.MAX_CHARACTERS", 50_000)
    workbook = filled([["x" * 1_000] for _ in range(100)])
    with pytest.raises(DreamHubError) as caught:
        extract_xlsx(stored(workbook))
    assert caught.value.code == "TooLarge"


FAR_ROW = edited(stored(filled([["a"], ["b"]])), lambda _, part: part.replace(b'r="2"', b'r="99999999"'))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (stored(Workbook()), "NoText"),
        (FAR_ROW, "CorruptOffice"),
        (zipped({"[Content_Types].xml": "<Types/>", "xl/workbook.xml": "<workbook/>"}), "CorruptOffice"),
    ],
    ids=["an empty sheet", "a row out of this world", "no relations"],
)
def test_why_a_workbook_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(DreamHubError) as caught:
        extract_xlsx(data)
    assert caught.value.code == code
