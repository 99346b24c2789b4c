"""Headings to sections: paths, titles, and no text lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamhub_worker.extract.extracted import Extracted
from dreamhub_worker.extract.markdown import extract_markdown, outline_markdown, plain_heading


def outline(text: str) -> list[tuple[tuple[str, ...], str]]:
    extracted = outline_markdown(text)
    return [
        (section.heading_path, extracted.text[section.start : section.end].strip()) for section in extracted.sections
    ]


def test_a_lone_top_heading_is_the_title_and_in_no_path() -> None:
    text = "# Handbook\n\nintro\n\n## Leave\n\nrules\n\n### Carry over\n\nmarch\n\n## Pay\n\nmonthly\n"
    assert outline_markdown(text).title == "Handbook"
    assert outline(text) == [
        ((), "intro"),
        (("Leave",), "rules"),
        (("Leave", "Carry over"), "march"),
        (("Pay",), "monthly"),
    ]


def test_several_top_headings_are_sections() -> None:
    extracted = outline_markdown("# A\n\none\n\n# B\n\ntwo\n")
    assert extracted.title is None
    assert outline("# A\n\none\n\n# B\n\ntwo\n") == [(("A",), "one"), (("B",), "two")]


def test_text_before_the_first_heading_is_kept() -> None:
    assert outline("before\n\n# A\n\none\n\n# B\n\ntwo\n")[0] == ((), "before")


def test_a_heading_with_nothing_below_it_is_text() -> None:
    assert outline("# A\n\none\n\n# B\n\n# C\n\nthree\n") == [(("A",), "one"), (("B",), "# B"), (("C",), "three")]


def test_a_heading_with_only_deeper_headings_below_it_lives_in_their_paths() -> None:
    assert outline("# A\n\n## B\n\ntwo\n\n# C\n\nthree\n") == [(("A", "B"), "two"), (("C",), "three")]


def test_levels_may_be_skipped() -> None:
    assert outline("# T\n\n#### deep\n\nx\n\n## up\n\ny\n") == [(("deep",), "x"), (("up",), "y")]


def test_headings_in_code_are_no_headings() -> None:
    assert outline("# T\n\n```\n# not\n```\n\n    # nor this\n") == [((), "```\n# not\n```\n\n    # nor this")]


def test_underlined_headings_count() -> None:
    assert outline("Title\n=====\n\nSub\n---\n\ntext\n") == [(("Sub",), "text")]


def test_front_matter_gives_the_title_and_is_no_text() -> None:
    extracted = extract_markdown(b'---\ntitle: "Leave policy"\ntags: [a]\n---\n\nThirty days.\n')
    assert extracted.title == "Leave policy"
    assert "tags" not in extracted.text


@pytest.mark.parametrize(
    ("heading", "plain"),
    [
        ("**Bold** and `code`", "Bold and code"),
        ("[Link](https://example.org) text", "Link text"),
        ("![icon](x.png) Name", "icon Name"),
        ("snake_case stays", "snake_case stays"),
        ("_emphasis_ goes", "emphasis goes"),
        ("a \\* b", "a * b"),
        ("tag <br> gone", "tag gone"),
    ],
)
def test_headings_read_as_people_read_them(heading: str, plain: str) -> None:
    assert plain_heading(heading) == plain


@given(st.lists(st.sampled_from(["# A", "## B", "### C", "text", "", "more text", "```", "- item"]), max_size=30))
def test_sections_are_in_order_and_hold_all_plain_text(lines: list[str]) -> None:
    text = "\n".join([*lines, "", "last words"])
    extracted = outline_markdown(text)
    covered = "".join(extracted.text[section.start : section.end] for section in extracted.sections)
    assert all(a.end <= b.start for a, b in zip(extracted.sections, extracted.sections[1:], strict=False))
    assert covered.count("text") == text.count("text")
    assert "last words" in covered


def test_the_wire_form_gives_back_the_same() -> None:
    extracted = outline_markdown("# A\n\none\n\n## B\n\ntwo\n")
    assert Extracted.from_wire(extracted.to_wire()) == extracted
