"""The platform's model list: which models exist, where they answer, how large their vectors are.

A tenant names a model; the list says what the name means. Without a list there are the two that work offline.
"""

from decimal import Decimal
from pathlib import Path
from pkgutil import resolve_name
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from dreamhub.domain.call_budget import Rates
from dreamhub.errors import InvalidInputError
from dreamhub.secret_files import read_secret

BUILTIN_EMBEDDING = "builtin/wordllama-256"
BUILTIN_CHAT = "builtin/extractive"

ModelKind = Literal["embedding", "chat"]


class ModelSettings(BaseModel):
    """One entry of the list. Names that start with `builtin/` need no endpoint."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    name: str
    kind: ModelKind
    endpoint: str | None = None
    """Base URL of an OpenAI-compatible API, such as `https://api.openai.com/v1`."""
    served_name: str | None = None
    """The name the endpoint knows the model by, when it differs from ours."""
    dimensions: int | None = Field(default=None, ge=1, le=4000)
    """Length of an embedding model's vectors; halfvec indexes end at 4,000."""
    lexical_weight: float = Field(default=0.5, ge=0, le=1)
    """Share of BM25 in the fused ranking. Measured for each embedding model on an evaluation set."""
    api_key_file: Path | None = None
    api_key_files: tuple[Path, ...] = ()
    """Several keys, used in turn; one that the provider refuses is left out until it is replaced."""
    requests_per_minute: int | None = Field(default=None, ge=1)
    """What the provider allows to all keys together; shared by all tenants by weight. None: as many as it answers."""
    tokens_per_minute: int | None = Field(default=None, ge=1)
    """As above. Requests are packed to a small part of it."""
    fallback_share: float = Field(default=0.02, gt=0, le=1)
    """Of these limits, what each process keeps to by itself where it has no share, such as while Redis is away."""
    max_concurrency: int = Field(default=32, ge=1, le=1000)
    """Requests that one process has under way at most; it finds out by itself how many below that are good."""
    price_per_million_tokens: Decimal | None = Field(default=None, ge=0)
    """What a million tokens cost, in `currency`. None: nobody asks for money."""
    currency: str = Field(default="USD", pattern="^[A-Z]{3}$")
    """Of the price, as ISO 4217 writes it."""
    timeout_seconds: float = Field(default=30, gt=0)
    """For one attempt at most; usually it is given up earlier, at several times what answers take. The retry loop
    around it has its own, longer budget."""
    budget_seconds: float = Field(default=900, gt=0)
    """How long ingestion waits for one request with all its retries: for its turn, and for a provider that is away."""
    urgent_budget_seconds: float = Field(default=20, gt=0)
    """The same where a person waits: searches and answers."""
    key_grace_seconds: float = Field(default=180, ge=0)
    """How long ingestion waits for another key once the provider refuses all: as long as a changed Secret takes to
    reach every pod."""

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if not self.builtin and self.endpoint is None:
            raise ValueError(f"model {self.name} needs an endpoint: only names that start with builtin/ have none")
        if self.kind == "embedding" and self.dimensions is None:
            raise ValueError(f"embedding model {self.name} needs its dimensions")
        return self

    @property
    def builtin(self) -> bool:
        return self.name.startswith("builtin/")

    @property
    def key_files(self) -> tuple[Path, ...]:
        """All of them, each once."""
        single = (self.api_key_file,) if self.api_key_file is not None else ()
        return tuple(dict.fromkeys((*single, *self.api_key_files)))

    @property
    def rates(self) -> Rates:
        """What the provider allows to all."""
        return Rates(self.requests_per_minute, self.tokens_per_minute)

    def read_api_keys(self) -> tuple[str, ...]:
        """As they are now. Raises InvalidInputError."""
        return tuple(read_secret(file) for file in self.key_files)


class ModelList(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    models: tuple[ModelSettings, ...]

    def find(self, kind: ModelKind, name: str) -> ModelSettings:
        for model in self.models:
            if model.kind == kind and model.name == name:
                return model
        known = ", ".join(model.name for model in self.models if model.kind == kind) or "none"
        raise InvalidInputError(
            f"there is no {kind} model named {name!r} in the platform's model list; it has: {known}",
            code="UnknownModel",
        )


DEFAULT_MODELS = ModelList(
    models=(
        ModelSettings(name=BUILTIN_EMBEDDING, kind="embedding", dimensions=256, lexical_weight=0.4),
        ModelSettings(name=BUILTIN_CHAT, kind="chat"),
    )
)


def parse_models(text: str) -> ModelList:
    """The list from its YAML, or from JSON, which a worker reads without loading a YAML parser.

    Raises InvalidInputError that names the entry and the field.
    """
    try:
        if text.lstrip().startswith("{"):
            return ModelList.model_validate_json(text)
        return ModelList.model_validate(resolve_name("yaml:safe_load")(text))
    except ValidationError as error:
        faults = error.errors(include_input=False, include_context=False, include_url=False)
        places = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults)
        raise InvalidInputError(f"the model list cannot be read: {places}", code="BadModelList") from None


def load_models(path: Path | None) -> ModelList:
    """The list at `path`, or the built-in models when there is no such file."""
    if path is None or not path.is_file():
        return DEFAULT_MODELS
    return parse_models(path.read_text(encoding="utf-8"))
