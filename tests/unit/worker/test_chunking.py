"""Chunks cover the text in order, keep to their limit and point back into it."""

from hypothesis import given
from hypothesis import strategies as st

from dreamhub_worker.chunking import MAX_TOKENS, Piece, document_title, estimate_tokens, split, text_to_embed
from dreamhub_worker.extract.extracted import Extracted, Place, Section
from dreamhub_worker.extract.markdown import outline_markdown

ALPHABET = st.one_of(
    st.sampled_from("abc .\n#*é漢字。かな한글🙂"),
    st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"),
)
TEXTS = st.text(ALPHABET, min_size=1, max_size=3_000)


def whole(text: str) -> Extracted:
    return Extracted(text=text, title=None, sections=(Section((), 0, len(text)),))


@given(TEXTS)
def test_chunks_cover_the_text_in_order_and_leave_out_only_white_space(text: str) -> None:
    pieces = list(split(whole(text), full=8, limit=12))
    position = 0
    for ordinal, piece in enumerate(pieces):
        assert piece.ordinal == ordinal
        assert piece.text == text[piece.start : piece.end]
        assert not text[position : piece.start].strip()
        position = piece.end
    assert not text[position:].strip()


@given(TEXTS, st.integers(4, 40))
def test_no_chunk_is_above_its_limit(text: str, limit: int) -> None:
    assert all(estimate_tokens(piece.text) <= limit for piece in split(whole(text), full=limit // 2, limit=limit))


@given(st.lists(st.text("xy z.", min_size=1, max_size=200), min_size=1, max_size=8))
def test_no_chunk_crosses_a_section(parts: list[str]) -> None:
    sections, length = [], 0
    for number, part in enumerate(parts):
        sections.append(Section((str(number),), length, length + len(part)))
        length += len(part)
    extracted = Extracted(text="".join(parts), title=None, sections=tuple(sections))
    for piece in split(extracted, full=8, limit=12):
        section = sections[int(piece.heading_path[0])]
        assert section.start <= piece.start < piece.end <= section.end


def test_the_limit_is_a_hard_bound_for_any_tokenizer() -> None:
    """No tokenizer makes more tokens than bytes."""
    pieces = list(split(whole("漢字かな" * 2_000)))
    assert max(len(piece.text.encode()) for piece in pieces) <= 3 * MAX_TOKENS


def test_chinese_is_cut_at_its_sentences() -> None:
    sentence = "建站以前至少踏勘两次。一次在枯水期。一次在雨后。"
    pieces = list(split(whole(sentence * 60)))
    assert len(pieces) > 1
    assert all(piece.text.endswith("。") for piece in pieces)


def test_paragraphs_stay_whole_when_they_fit() -> None:
    paragraphs = ["one two three four five.", "six seven eight nine ten.", "eleven twelve thirteen."]
    pieces = split(whole("\n\n".join(paragraphs)), full=5, limit=10)
    assert [piece.text for piece in pieces] == paragraphs


def test_a_chunk_names_the_page_on_which_it_begins() -> None:
    text = "first page. " * 10 + "second page. " * 10
    extracted = Extracted(text, None, (Section((), 0, len(text)),), places=(Place(0, "page", 1), Place(120, "page", 2)))
    pages = [(piece.page, piece.start) for piece in split(extracted, full=8, limit=12)]
    assert {page for page, _ in pages} == {1, 2}
    assert {piece.unit for piece in split(extracted)} == {"page"}
    assert all((page == 2) == (start >= 120) for page, start in pages)


def test_headings_and_title_stand_in_front_of_what_is_embedded() -> None:
    extracted = outline_markdown("# Handbook\n\n## Leave\n\n### Carry over\n\nUntil March.\n")
    [piece] = split(extracted)
    title = document_title(extracted, "handbook.md")
    assert text_to_embed(title, piece) == "Handbook\nLeave\nCarry over\nUntil March."


def test_a_document_without_a_title_is_called_by_its_file_name() -> None:
    assert document_title(whole("x"), "notes/2024 plan.final.txt") == "2024 plan.final"
    assert document_title(whole("x"), ".txt") == ".txt"


def test_pieces_are_the_same_each_time() -> None:
    """The checkpoint of a killed worker counts on it."""
    text = outline_markdown("# A\n\n" + "Some words. " * 500 + "\n## B\n\n" + "More words. " * 500)
    first: list[Piece] = list(split(text))
    assert first == list(split(text))
