"""The sample library: big enough, in step with its sources, and true to what the evaluation sets say of it."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pypdfium2
import pytest

from hack.demo.pdf import LAYOUTS, SAMPLES, Heading, Paragraph, Table, parse_blocks, stale_pdfs

DATA = Path(__file__).resolve().parents[2] / "bench" / "data"
DOCUMENTS = SAMPLES / "documents"
WORDS_A_PAGE = 300
CJK_CHARACTERS_A_PAGE = 500


@dataclass(frozen=True)
class Question:
    question: str
    document: str
    section: str
    answer: str


def read_questions(name: str) -> list[Question]:
    return [Question(**json.loads(line)) for line in (DATA / name).read_text().splitlines()]


def plain_text(path: Path) -> str:
    """The text as a person reads it; a PDF by its source, which a test of its own holds to the PDF."""
    if path.suffix == ".pdf":
        path = SAMPLES / "sources" / f"{path.stem}.md"
    text = path.read_text()
    if path.suffix == ".html":
        text = re.sub(r"<h[1-6]>(.*?)</h[1-6]>", r"\n\n# \1\n\n", text)
        text = re.sub(r"<[^>]+>", " ", text)
    return text


def sections(path: Path) -> dict[str, str]:
    """Heading -> its text, whitespace collapsed."""
    parts = re.split(r"(?m)^(?:#+ +|(?=\d\.\d ))(.+)$", plain_text(path))
    return {heading.strip(): " ".join(body.split()) for heading, body in zip(parts[1::2], parts[2::2], strict=True)}


def count_pages(path: Path) -> float:
    if path.suffix == ".pdf":
        with pypdfium2.PdfDocument(path) as document:
            return len(document)
    text = plain_text(path)
    characters = len(re.sub(r"\s", "", text))
    cjk = re.findall(r"[\u4e00-\u9fff]", text)
    return characters / CJK_CHARACTERS_A_PAGE if len(cjk) > characters / 2 else len(text.split()) / WORDS_A_PAGE


def test_pdfs_are_what_their_sources_give() -> None:
    assert stale_pdfs() == []


def test_library_has_sixty_pages_in_five_kinds() -> None:
    paths = [path for path in DOCUMENTS.iterdir() if path.is_file()]
    assert sum(count_pages(path) for path in paths) >= 60
    assert {path.suffix for path in paths} == {".md", ".html", ".pdf", ".txt"}
    assert any(path.name.endswith(".zh.md") for path in paths)


def test_pdfs_have_pages_and_an_outline() -> None:
    for layout in LAYOUTS:
        with pypdfium2.PdfDocument(layout.target) as document:
            assert len(document) >= 5
            headings = [b.text for b in parse_blocks(layout.source.read_text()) if isinstance(b, Heading)]
            assert [entry.get_title() for entry in document.get_toc()] == headings[1:]


def test_no_paragraph_appears_twice() -> None:
    seen: dict[str, str] = {}
    for path in DOCUMENTS.iterdir():
        for heading, body in sections(path).items():
            if len(body) > 80:
                assert body not in seen, f"{path.name}: {heading} repeats {seen[body]}"
                seen[body] = f"{path.name}: {heading}"


def test_parse_blocks_knows_headings_paragraphs_and_tables() -> None:
    assert list(parse_blocks("# A\n\nb\nc\n\n| x | y |\n| --- | --- |\n| 1 | 2 |")) == [
        Heading(1, "A"),
        Paragraph("b c"),
        Table((("x", "y"), ("1", "2"))),
    ]


@pytest.mark.parametrize("name", ["english.jsonl", "chinese.jsonl"])
def test_evaluation_set_is_true_to_the_library(name: str) -> None:
    questions = read_questions(name)
    assert len(questions) >= 60
    assert len({q.question for q in questions}) == len(questions)
    for question in questions:
        text = sections(DOCUMENTS / question.document).get(question.section)
        assert text is not None, f"no section {question.section!r} in {question.document}"
        assert question.answer in text, f"{question.answer!r} does not stand in {question.section!r}"


def test_demo_question_is_answered_by_one_document_only() -> None:
    demo = read_questions("english.jsonl")[0]
    texts = {path.name: " ".join(plain_text(path).split()) for path in DOCUMENTS.iterdir()}
    assert [name for name, text in texts.items() if demo.answer in text and "electrode" in text] == [demo.document]
    assert [name for name, text in texts.items() if "soak" in text] == [demo.document]
