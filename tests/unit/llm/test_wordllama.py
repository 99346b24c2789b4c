"""The built-in embedder: equal to the package it takes its table from, and of use in two languages."""

import re
from pkgutil import resolve_name

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from dreamhub.errors import BugError
from dreamhub.llm.embedding import normalise
from dreamhub.llm.models import DEFAULT_MODELS
from dreamhub.llm.wordllama import TOKENIZER, WordLlamaEmbedder, cut_by_words, package_folder

WHOLE = Tokenizer.from_file(str(package_folder() / TOKENIZER))
BY_WORDS = cut_by_words(WHOLE)
SETTINGS = DEFAULT_MODELS.models[0]
TEXTS = ["Holiday rules: thirty days a year.", "  \n\tcode = f(x)\n", "探头的使用说明书", "naïve café 🙂", "a" * 3_000]


@pytest.fixture(scope="module")
def embedder() -> WordLlamaEmbedder:
    return WordLlamaEmbedder(SETTINGS)


def test_vectors_are_the_packages_own(embedder: WordLlamaEmbedder) -> None:
    original = resolve_name("wordllama:WordLlama").load(cache_dir=package_folder(), disable_download=True)
    expected = np.vstack([original.embed([text], norm=True) for text in TEXTS])
    assert np.allclose(embedder.embed_now(TEXTS).vectors, expected, atol=1e-6)


@given(st.lists(st.one_of(st.text(max_size=8), st.sampled_from([" ", "  ", "\n", "\u2581", "<s>", "the", "a" * 90]))))
def test_tokens_word_by_word_are_those_of_the_whole(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert BY_WORDS(text) == WHOLE.encode(text, add_special_tokens=False).ids


def test_no_token_reaches_over_the_start_of_a_word() -> None:
    assert not [token for token in WHOLE.get_vocab() if re.search("[^\u2581]\u2581", token)]


async def test_a_text_has_the_same_vector_in_any_company(embedder: WordLlamaEmbedder) -> None:
    together = (await embedder.embed(TEXTS)).vectors
    alone = np.vstack([(await embedder.embed([text])).vectors for text in TEXTS])
    assert np.array_equal(together, alone)
    assert together.dtype == np.float32
    assert np.allclose(np.linalg.norm(together, axis=1), 1)


async def test_tokens_are_counted(embedder: WordLlamaEmbedder) -> None:
    result = await embedder.embed(["one two three", "", "one"])
    assert result.tokens[0] > result.tokens[2] > result.tokens[1] == 0
    assert not result.vectors[1].any()
    assert (await embedder.embed([])).vectors.shape == (0, 256)


@pytest.mark.parametrize(
    ("question", "right", "wrong"),
    [
        (
            "How many days of vacation do I get?",
            "Each employee is entitled to thirty holidays a year.",
            "The probe is calibrated with a buffer solution.",
        ),
        ("怎样校准探头?", "探头每三个月用标准溶液校准一次。", "员工每年有二十天年假。"),
    ],
)
async def test_the_right_text_is_nearer(embedder: WordLlamaEmbedder, question: str, right: str, wrong: str) -> None:
    vectors = (await embedder.embed([question, right, wrong])).vectors
    near, far = vectors[1:] @ vectors[0]
    assert near > far + 0.1


def test_a_list_that_is_wrong_about_it_is_found_out() -> None:
    with pytest.raises(BugError):
        WordLlamaEmbedder(SETTINGS.model_copy(update={"dimensions": 128}))


def test_rows_of_zeros_stay() -> None:
    assert normalise(np.array([[0.0, 0.0], [3.0, 4.0]], dtype=np.float32)).tolist() == [
        [0, 0],
        [0.6000000238418579, 0.800000011920929],
    ]
