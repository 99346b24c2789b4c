"""Extractive answers: what is quoted, what is cited, and when nothing is said."""

from collections.abc import Sequence

import pytest

from dreamhub.domain.answers import NO_ANSWER, Answer, Draft, Passage, question_terms
from dreamhub.domain.sentences import sentences
from dreamhub.llm.embedding import open_embedder
from dreamhub.llm.models import BUILTIN_EMBEDDING, DEFAULT_MODELS

WARRANTY = Passage(
    "The pump is warranted for 24 months from delivery. Wear parts are not covered. See also chapter 3.",
    score=0.9,
    title="Handbook",
    heading_path=("Terms", "Warranty"),
)
CLEANING = Passage(
    "Rinse the filter every week. Never use soap on the filter.",
    score=0.4,
    title="Handbook",
    heading_path=("Care", "Cleaning"),
)


EMBEDDER = open_embedder(DEFAULT_MODELS.find("embedding", BUILTIN_EMBEDDING))


async def build_answer(question: str, passages: Sequence[Passage]) -> Answer:
    """With the real built-in model: it is offline and quick, and a made-up one would prove nothing."""
    draft = Draft(question, passages)
    return draft.finish((await EMBEDDER.embed(draft.texts or ["-"])).vectors)


def split(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("It costs 3.50 euros. Fine.", ["It costs 3.50 euros.", "Fine."]),
        ("See e.g. Chapter 2. Then go on.", ["See e.g. Chapter 2.", "Then go on."]),
        ("Mr. Miller called. He left.", ["Mr. Miller called.", "He left."]),
        ("第一句。第二句！第三句", ["第一句。", "第二句！", "第三句"]),  # noqa: RUF001 - full-width marks are the point
        ("Wrapped at\nthe margin. Next.", ["Wrapped at\nthe margin.", "Next."]),
        ("# Heading\n\nText here.", ["# Heading", "Text here."]),
        ("Items:\n- one\n- two\n1. three", ["Items:", "- one", "- two", "1. three"]),
        ("", []),
        (" \n\n ", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert split(text) == expected


async def test_answer_quotes_and_cites() -> None:
    answer = await build_answer("How long is the warranty of the pump?", [CLEANING, WARRANTY])
    assert answer.text.startswith("The pump is warranted for 24 months from delivery. [1]")
    quote = answer.quotes[0]
    assert quote.passage == 1
    assert WARRANTY.text[quote.start : quote.end] == quote.text


async def test_unrelated_sentences_are_not_added() -> None:
    answer = await build_answer("May I use soap on the filter?", [CLEANING, WARRANTY])
    assert answer.text == "Never use soap on the filter. [1]"


@pytest.mark.parametrize(
    "question",
    ["What is the capital of France?", "Who won the cup?", "How do I reset my password?", "法国的首都是哪里"],
)
async def test_nothing_is_invented(question: str) -> None:
    answer = await build_answer(question, [WARRANTY, CLEANING])
    assert (answer.text, answer.quotes, answer.found) == (NO_ANSWER, (), False)


async def test_no_passages() -> None:
    assert not (await build_answer("Anything?", [])).found
    assert not (await build_answer("", [WARRANTY])).found


async def test_overlapping_chunks_say_a_thing_once() -> None:
    answer = await build_answer("How long is the warranty of the pump?", [WARRANTY, WARRANTY])
    assert len(answer.quotes) == len({quote.text for quote in answer.quotes})


async def test_headings_answer_nothing() -> None:
    passage = Passage("Warranty of the pump\n\nIt is granted for 24 months.", 0.6, "", ("Warranty of the pump",))
    answer = await build_answer("How long is the warranty of the pump?", [passage])
    assert "[1]" not in answer.text or not answer.text.startswith("Warranty of the pump [1]")


async def test_chinese() -> None:
    passage = Passage("水泵的保修期为两年。易损件不在保修范围内。", 0.6, "手册", ("保修",))
    answer = await build_answer("水泵的保修期是多久", [passage])
    assert answer.quotes[0].text == "水泵的保修期为两年。"


async def test_markup_is_not_repeated() -> None:
    passage = Passage("- The pump is warranted for 24 months.\n- Wear parts are not covered.", 0.6, "", ("Warranty",))
    answer = await build_answer("How long is the warranty of the pump?", [passage])
    assert answer.text.startswith("The pump is warranted for 24 months. [1]")


def test_stop_words_alone_still_ask() -> None:
    assert question_terms("What is it?")
