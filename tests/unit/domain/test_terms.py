import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamhub.domain.keys import DataKeys
from dreamhub.domain.terms import (
    AVERAGE_WORDS,
    DIMENSIONS,
    MAX_QUERY_TERMS,
    MAX_TERMS,
    TermIndex,
    TermStatistics,
    weigh_query,
    words,
)
from dreamhub.errors import InvalidInputError

KEYS = DataKeys(active="1", keys={"1": bytes(32)}, index=bytes(32))
INDEX = TermIndex(KEYS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("?! -- …", []),
        ("Running RUNNERS ran", ["run", "runner", "ran"]),
        ("The user's files", ["the", "user", "file"]),
        ("The user\u2019s files", ["the", "user", "file"]),
        ("snake_case kebab-case v1.2", ["snake", "case", "kebab", "case", "v1", "2"]),
        ("ﬁle ＡＢＣ①", ["file", "abc1"]),
        ("Straße", ["strass"]),
        ("北京大学", ["北京", "京大", "大学"]),
        ("猫", ["猫"]),
        ("我爱Python编程", ["我爱", "python", "编程"]),
        ("カタカナと漢字", ["カタ", "タカ", "カナ", "ナと", "と漢", "漢字"]),
        ("한국어", ["한국", "국어"]),
        ("北京。上海", ["北京", "上海"]),
        ("x" * 300, ["x" * 64]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(st.text())
def test_any_text_has_words_of_its_own(text: str) -> None:
    found = words(text)
    assert words(f"{text} {text}") == found + found
    assert all(found)


PIECES = st.sampled_from(["ab", "C", "1", "_", "'", " ", "-", "\n", "it's", "''", "x" * 70])


@given(st.lists(PIECES | st.characters(codec="ascii")).map("".join))
@pytest.mark.parametrize("sign", ["é", "猫"])
def test_words_are_the_same_in_any_company(sign: str, text: str) -> None:
    assert [*words(text), sign] == words(f"{text} {sign}")


def test_more_words_than_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(f"word{number}" for number in range(50)) + " " + "y" * 100
    monkeypatch.setattr("dreamhub.domain.terms.WORD_CACHE", 7)
    small = TermIndex(KEYS)
    assert small.document(text).ids.tolist() == small.document(text).ids.tolist() == INDEX.document(text).ids.tolist()


@given(st.text(max_size=300))
def test_vectors_are_well_formed(text: str) -> None:
    vector = INDEX.document(text)
    assert len(vector.ids) == len(vector.weights) == len(set(words(text)))
    assert (np.diff(vector.ids) > 0).all()
    assert ((vector.ids >= 0) & (vector.ids < DIMENSIONS)).all()
    assert ((vector.weights > 0) & (vector.weights < 2.2)).all()
    assert set(INDEX.query(text)) <= set(vector.ids.tolist())


@given(st.lists(st.sampled_from(["cat", "dog", "bird", "fish"]), min_size=1, max_size=30))
def test_order_of_words_changes_nothing(chosen: list[str]) -> None:
    forward, backward = INDEX.document(" ".join(chosen)), INDEX.document(" ".join(reversed(chosen)))
    assert (forward.ids == backward.ids).all()
    assert (forward.weights == backward.weights).all()


def test_weights_are_bm25() -> None:
    text = " ".join(["cat"] * 3 + [f"filler{number}" for number in range(97)])
    vector = INDEX.document(text)
    at = vector.ids.tolist().index(INDEX.query("cats")[0])
    expected = 3 * 2.2 / (3 + 1.2 * (0.25 + 0.75 * 100 / AVERAGE_WORDS))
    assert vector.weights[at] == pytest.approx(expected, rel=1e-6)


def test_ids_are_of_the_tenant() -> None:
    other = TermIndex(DataKeys.generate())
    text = " ".join(f"word{number}" for number in range(50))
    assert not set(INDEX.query(text)) & set(other.query(text))
    assert TermIndex(KEYS).query(text) == INDEX.query(text)


def test_query_is_bounded_and_keeps_order() -> None:
    found = INDEX.query(" ".join(f"w{number}" for number in range(500)) + " w1")
    assert len(found) == MAX_QUERY_TERMS
    assert found[:2] == INDEX.query("w0 w1")


def test_monstrous_chunk_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="make chunks smaller"):
        INDEX.document(" ".join(f"w{number}" for number in range(MAX_TERMS + 1)))


def test_threads_agree() -> None:
    texts = [" ".join(f"running{number} cats" for number in range(start, start + 200)) for start in range(64)]
    expected = [TermIndex(KEYS).document(text).ids.tolist() for text in texts]
    index = TermIndex(KEYS)
    with ThreadPoolExecutor(8) as pool:
        assert [vector.ids.tolist() for vector in pool.map(index.document, texts)] == expected


def test_query_weights_are_idf_and_unknown_terms_are_dropped() -> None:
    weighed = weigh_query([7, 3, 9, 5], TermStatistics(chunks=100, counts={3: 10, 7: 1, 9: 0}))
    assert weighed.vector.ids.tolist() == [3, 7]
    assert weighed.vector.weights.tolist() == pytest.approx([math.log1p(90.5 / 10.5), math.log1p(99.5 / 1.5)])
    assert weighed.rarest == (7, 3)


def test_rarest_first_until_enough_candidates() -> None:
    statistics = TermStatistics(chunks=100_000, counts={1: 90_000, 2: 900, 3: 3_500, 4: 50})
    assert weigh_query([1, 2, 3, 4], statistics).rarest == (4, 2, 3)
    assert weigh_query([1], statistics).rarest == (1,)
    assert weigh_query([1, 2, 3, 4], statistics, candidates=10).rarest == (4,)
    assert weigh_query([], statistics).rarest == ()


@given(
    chunks=st.integers(0, 10**6),
    counts=st.dictionaries(st.integers(0, DIMENSIONS - 1), st.integers(-5, 10**6), max_size=20),
)
def test_weights_stay_positive_whatever_is_counted(chunks: int, counts: dict[int, int]) -> None:
    weighed = weigh_query(list(counts), TermStatistics(chunks, counts))
    assert (weighed.vector.weights > 0).all()
    assert set(weighed.rarest) <= set(weighed.vector.ids.tolist()) == {term for term in counts if counts[term] > 0}
    assert bool(weighed.rarest) == bool(len(weighed.vector.ids))
