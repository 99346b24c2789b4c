"""Tables in pieces: no value without its name."""

from hypothesis import given
from hypothesis import strategies as st

from dreamhub_worker.chunking import MAX_TOKENS, estimate_tokens
from dreamhub_worker.extract.markdown import outline_markdown
from dreamhub_worker.extract.tables import GROUP_BYTES, cut_columns, has_header, render_table, repeat_headers

CELLS = st.text("abc de|é漢\n", max_size=60)
ROWS = st.lists(st.lists(CELLS, min_size=1, max_size=5), max_size=60)


def test_a_piece_is_one_chunk() -> None:
    assert estimate_tokens("x" * GROUP_BYTES) <= MAX_TOKENS


@given(st.lists(CELLS, max_size=5), ROWS)
def test_every_row_comes_once_and_in_order(header: list[str], rows: list[list[str]]) -> None:
    groups = list(render_table(header, rows))
    assert [group.first for group in groups] == sorted({group.first for group in groups})
    shown = [line for group in groups for line in group.text.split("\n")]
    for row in rows:
        for cell in row:
            words = " ".join(cell.split()).replace("|", "\\|")
            assert any(words in line for line in shown) or not words
    assert all(len(group.text.encode()) <= GROUP_BYTES for group in groups)


def test_a_row_too_wide_for_a_table_is_a_list_of_named_values() -> None:
    header = [f"column {at}" for at in range(60)]
    rows = [[f"value {at} of {row}" if at != 1 else "" for at in range(60)] for row in range(2)]
    groups = list(render_table(header, rows))
    assert [group.first for group in groups] == [0, 1]
    assert groups[1].text.startswith("column 0: value 0 of 1\ncolumn 2: value 2 of 1\n")


def test_what_looks_like_a_header() -> None:
    assert has_header([["Name", "Price"], ["Pump", "3"]])
    assert not has_header([["Pump", "3"], ["Hose", "4"]])
    assert not has_header([["Name", "Name"], ["a", "b"]])
    assert not has_header([["Name", "Price"]])


def test_empty_columns_and_rows_go() -> None:
    assert cut_columns([["a", "", "b"], ["", " ", ""], ["c", ""]]) == [["a", "b"], ["c"]]


LONG = "| Name | Price |\n|:---|---:|\n" + "".join(f"| Part number {at} of the list | {at} |\n" for at in range(80))


def test_a_long_markdown_table_repeats_its_header_in_sections_of_its_own() -> None:
    extracted = outline_markdown(f"# Prices\n\n## All\n\nBefore.\n\n{LONG}\nAfter.\n")
    texts = [extracted.text[section.start : section.end].strip() for section in extracted.sections]
    assert (texts[0], texts[-1]) == ("Before.", "After.")
    assert len(texts) > 4
    assert all(text.startswith("| Name | Price |\n|:---|---:|\n| Part") for text in texts[1:-1])
    assert {section.heading_path for section in extracted.sections} == {("All",)}
    assert extracted.text.count("| Part number") == 80


def test_other_markdown_is_left_as_it_is() -> None:
    for text in ("no table | here\n", "| a | b |\n|---|---|\n| 1 | 2 |\n", "| not | a table\n" * 200, "|---|\n" * 300):
        assert repeat_headers(text) == (text, []) or "---" in text
