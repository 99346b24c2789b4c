"""The clients against a server that speaks the protocol, in all its moods."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dreamhub.errors import InvalidInputError, LimitExceededError, UnavailableError
from dreamhub.llm.chat import ChatMessage, open_chat
from dreamhub.llm.embedding import normalise, open_embedder
from dreamhub.llm.models import ModelSettings
from tests.integration.llm.provider_server import DIMENSIONS, Mood, Provider, vector_of
from tests.integration.servers import pick_port

QUESTION = [ChatMessage("system", "Answer from the context."), ChatMessage("user", "How many days?")]


def model(provider: Provider, **fields: Any) -> ModelSettings:
    entry = {"name": "small", "kind": "embedding", "endpoint": provider.endpoint, "dimensions": DIMENSIONS}
    return ModelSettings.model_validate(
        entry | {"timeoutSeconds": 2, "budgetSeconds": 20, "urgentBudgetSeconds": 20, "keyGraceSeconds": 0} | fields
    )


async def test_vectors_come_in_the_order_of_the_texts(provider: Provider) -> None:
    embedder = open_embedder(model(provider, servedName="text-embedding-3-small"))
    texts = [f"text number {number}" for number in range(20)]
    result = await embedder.embed(texts)
    await embedder.close()
    expected = normalise(np.stack([vector_of(text) for text in texts]))
    assert np.allclose(result.vectors, expected, atol=1e-6)
    assert sum(result.tokens) == 60
    [request] = provider.requests
    assert (request["model"], request["encoding_format"]) == ("text-embedding-3-small", "base64")


async def test_a_server_that_answers_numbers_is_understood(provider: Provider) -> None:
    provider.plain_numbers = True
    embedder = open_embedder(model(provider))
    result = await embedder.embed(["a", "b"])
    await embedder.close()
    assert np.allclose(result.vectors[1], normalise(vector_of("b")[None])[0], atol=1e-6)


async def test_many_texts_become_several_requests(provider: Provider) -> None:
    embedder = open_embedder(model(provider))
    result = await embedder.embed(["x"] * 2_049)
    await embedder.close()
    assert sorted(len(request["input"]) for request in provider.requests) == [1, 2_048]
    assert result.vectors.shape == (2_049, DIMENSIONS)


async def test_no_texts_are_no_request(provider: Provider) -> None:
    embedder = open_embedder(model(provider))
    assert (await embedder.embed([])).vectors.shape == (0, DIMENSIONS)
    await embedder.close()
    assert provider.requests == []


async def test_the_key_of_the_file_is_sent(provider: Provider, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-test\n")
    embedder = open_embedder(model(provider, apiKeyFile=str(tmp_path / "key")))
    await embedder.embed(["x"])
    (tmp_path / "key").write_text("sk-next\n")
    await embedder.embed(["x"])
    await embedder.close()
    assert provider.keys == ["Bearer sk-test", "Bearer sk-next"]


async def test_a_key_that_is_gone_is_the_platforms_fault(provider: Provider, tmp_path: Path) -> None:
    embedder = open_embedder(model(provider, apiKeyFile=str(tmp_path / "key")))
    with pytest.raises(UnavailableError, match="is the Secret mounted") as caught:
        await embedder.embed(["x"])
    await embedder.close()
    assert caught.value.code == "SecretMissing"
    assert provider.requests == []


async def test_a_chat_model_takes_over_a_changed_key(provider: Provider, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-test\n")
    chat = open_chat(model(provider, kind="chat", dimensions=None, apiKeyFile=str(tmp_path / "key")))
    await chat.complete(QUESTION, 50)
    (tmp_path / "key").write_text("sk-next\n")
    async for _ in chat.stream(QUESTION, 50):
        pass
    await chat.close()
    assert provider.keys == ["Bearer sk-test", "Bearer sk-next"]


async def test_the_wait_that_a_provider_asks_for_is_kept_and_told(provider: Provider) -> None:
    provider.moods = [Mood(429, headers={"retry-after-ms": "300"}), Mood(503, headers={"retry-after": "0.2"})]
    embedder = open_embedder(model(provider))
    started = time.monotonic()
    result = await embedder.embed(["x"])
    await embedder.close()
    assert time.monotonic() - started >= 0.5
    assert result.wait_seconds >= 0.5
    assert len(provider.requests) == 3


async def test_a_hanging_provider_is_left_and_asked_again(provider: Provider) -> None:
    provider.moods = [Mood(hang_seconds=3600)]
    embedder = open_embedder(model(provider, timeoutSeconds=1.5))
    result = await embedder.embed(["x"])
    await embedder.close()
    assert len(provider.requests) >= 2
    assert result.vectors.shape == (1, DIMENSIONS)


@pytest.mark.parametrize(
    ("mood", "kind", "code"),
    [
        (Mood(401, "invalid_api_key"), UnavailableError, "ProviderUnauthorized"),
        (Mood(429, "insufficient_quota"), LimitExceededError, "ProviderQuota"),
        (Mood(400, "context_length_exceeded"), InvalidInputError, "ProviderRejected"),
        (Mood(429, headers={"retry-after": "7200"}), UnavailableError, "ProviderLimited"),
    ],
    ids=["key", "quota", "request", "hours"],
)
async def test_what_waiting_does_not_mend_is_asked_once(
    provider: Provider, mood: Mood, kind: type[Exception], code: str
) -> None:
    provider.moods = [mood]
    embedder = open_embedder(model(provider))
    with pytest.raises(kind) as caught:
        await embedder.embed(["x"])
    await embedder.close()
    assert getattr(caught.value, "code", None) == code
    assert len(provider.requests) == 1


async def test_a_provider_that_stays_away_is_told_within_the_budget(provider: Provider) -> None:
    provider.moods = [Mood(503)] * 100
    embedder = open_embedder(model(provider, budgetSeconds=1.5))
    with pytest.raises(UnavailableError) as caught:
        await embedder.embed(["x"])
    await embedder.close()
    assert caught.value.code == "ProviderLimited"
    assert provider.moods, "the budget ended it, and not the end of the refusals"


async def test_a_provider_that_is_not_there() -> None:
    away = Provider(port=pick_port())
    embedder = open_embedder(model(away, budgetSeconds=0.5))
    with pytest.raises(UnavailableError, match="cannot be reached"):
        await embedder.embed(["x"])
    await embedder.close()


async def test_vectors_of_another_length_than_listed_are_refused(provider: Provider) -> None:
    provider.dimensions = 4
    embedder = open_embedder(model(provider))
    with pytest.raises(InvalidInputError, match="8 dimensions") as caught:
        await embedder.embed(["x"])
    await embedder.close()
    assert caught.value.code == "ProviderAnswer"


async def test_a_whole_answer(provider: Provider) -> None:
    chat = open_chat(model(provider, kind="chat", servedName="big"))
    answer = await chat.complete(QUESTION, max_tokens=50)
    await chat.close()
    assert (answer.text, answer.finish_reason) == ("Thirty days [1].", "stop")
    assert (answer.prompt_tokens, answer.completion_tokens) == (12, 3)
    [request] = provider.requests
    assert request["model"] == "big"
    assert [message["role"] for message in request["messages"]] == ["system", "user"]


async def test_a_streamed_answer_comes_in_pieces(provider: Provider) -> None:
    provider.moods = [Mood(503, headers={"retry-after-ms": "1"})]
    chat = open_chat(model(provider, kind="chat"))
    pieces = [piece async for piece in chat.stream(QUESTION, max_tokens=50)]
    await chat.close()
    assert pieces == ["Thirty ", "days ", "[1]."]
    assert len(provider.requests) == 2


async def test_a_refused_stream_raises_ours(provider: Provider) -> None:
    provider.moods = [Mood(401)]
    chat = open_chat(model(provider, kind="chat"))
    with pytest.raises(UnavailableError) as caught:
        _ = [piece async for piece in chat.stream(QUESTION, max_tokens=50)]
    await chat.close()
    assert caught.value.code == "ProviderUnauthorized"
