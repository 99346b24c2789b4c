"""The model list and its mistakes."""

from pathlib import Path

import pytest

from dreamhub.errors import InvalidInputError
from dreamhub.llm.chat import open_chat
from dreamhub.llm.embedding import open_embedder
from dreamhub.llm.models import BUILTIN_EMBEDDING, DEFAULT_MODELS, ModelSettings, load_models, parse_models

LIST = """
models:
  - {name: builtin/wordllama-256, kind: embedding, dimensions: 256, lexicalWeight: 0.4}
  - {name: small, kind: embedding, endpoint: "https://models.example/v1", dimensions: 1536, servedName: te-3-small}
  - {name: chat, kind: chat, endpoint: "https://models.example/v1"}
"""


def test_a_list_is_read() -> None:
    models = parse_models(LIST)
    found = models.find("embedding", "small")
    assert (found.dimensions, found.served_name, found.builtin) == (1536, "te-3-small", False)
    assert models.find("chat", "chat").endpoint == "https://models.example/v1"


def test_json_is_read_as_well() -> None:
    assert parse_models(DEFAULT_MODELS.model_dump_json(by_alias=True)) == DEFAULT_MODELS


def test_without_a_list_there_are_the_offline_models(tmp_path: Path) -> None:
    assert load_models(None) is DEFAULT_MODELS
    assert load_models(tmp_path / "absent.yaml") is DEFAULT_MODELS
    assert DEFAULT_MODELS.find("embedding", BUILTIN_EMBEDDING).lexical_weight == 0.4


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ("{name: x, kind: embedding, dimensions: 3}", "endpoint"),
        ("{name: x, kind: embedding, endpoint: 'http://x'}", "dimensions"),
        ("{name: builtin/wordllama-256, kind: embedding, dimensions: 256, lexicalWeight: 2}", "lexicalWeight"),
        ("{name: x, kind: poetry, endpoint: 'http://x'}", "kind"),
        ("{name: x, kind: chat, endpoint: 'http://x', colour: red}", "colour"),
    ],
)
def test_a_mistake_is_named(entry: str, named: str) -> None:
    with pytest.raises(InvalidInputError, match=named) as caught:
        parse_models(f"models: [{entry}]")
    assert caught.value.code == "BadModelList"


def test_an_unknown_name_is_told_with_the_known_ones() -> None:
    with pytest.raises(InvalidInputError, match=BUILTIN_EMBEDDING) as caught:
        DEFAULT_MODELS.find("embedding", "nope")
    assert caught.value.code == "UnknownModel"


def test_a_model_is_opened_as_what_it_is() -> None:
    embedding, chat = DEFAULT_MODELS.models
    with pytest.raises(InvalidInputError):
        open_embedder(chat)
    with pytest.raises(InvalidInputError):
        open_chat(embedding)
    with pytest.raises(InvalidInputError):
        open_chat(chat)
    with pytest.raises(InvalidInputError):
        open_embedder(ModelSettings(name="builtin/other", kind="embedding", dimensions=2))


def test_a_key_is_read_from_its_file(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("sk-1\n")
    settings = ModelSettings(name="x", kind="chat", endpoint="http://x", api_key_file=key, api_key_files=(key,))
    assert settings.read_api_keys() == ("sk-1",)
    assert "sk-1" not in repr(settings)
    assert ModelSettings(name="x", kind="chat", endpoint="http://x").read_api_keys() == ()


def test_a_secret_in_the_wrong_place_is_not_repeated() -> None:
    with pytest.raises(InvalidInputError, match=r"models\.0\.api_key: Extra inputs are not permitted") as refused:
        parse_models("models: [{name: m, kind: chat, endpoint: 'http://x', api_key: sk-hush}]")
    assert "sk-hush" not in refused.value.message
