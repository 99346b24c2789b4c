"""Questions to a language model behind an OpenAI-compatible endpoint: whole answers or streamed ones.

The built-in extractive answerer is no language model and lives in `dreamhub.domain.answers`.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Literal, Protocol

from dreamhub.errors import InvalidInputError
from dreamhub.llm.budget import Budget
from dreamhub.llm.models import ModelSettings

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class ChatMessage:
    role: Role
    content: str


@dataclass(frozen=True)
class ChatCompletion:
    text: str
    prompt_tokens: int
    completion_tokens: int
    finish_reason: str
    """`stop` when the model ended by itself, `length` when it ran into `max_tokens`, or the provider's own word."""


class ChatModel(Protocol):
    @property
    def model(self) -> str: ...

    def charged_to(self, budget: Budget) -> "ChatModel":
        """The same model for calls in another's name."""
        ...

    async def complete(self, messages: Sequence[ChatMessage], max_tokens: int) -> ChatCompletion: ...

    def stream(self, messages: Sequence[ChatMessage], max_tokens: int) -> AsyncIterator[str]:
        """Pieces of the answer as they come. Retried only until the first piece: later errors are raised."""
        ...

    async def close(self) -> None: ...


def open_chat(settings: ModelSettings) -> ChatModel:
    """A language model from the list. Built-in entries have none: their answerer is the caller's to choose."""
    if settings.kind != "chat" or settings.builtin:
        raise InvalidInputError(f"{settings.name} is not a chat model with an endpoint", code="UnknownModel")
    model: ChatModel = resolve_name("dreamhub.llm.openai_chat:OpenAIChat")(settings)  # a second to import: when needed
    return model


def to_wire(messages: Sequence[ChatMessage]) -> "list[ChatCompletionMessageParam]":
    return [_to_param(message) for message in messages]


def _to_param(message: ChatMessage) -> "ChatCompletionMessageParam":
    match message.role:
        case "system":
            return {"role": "system", "content": message.content}
        case "user":
            return {"role": "user", "content": message.content}
        case "assistant":
            return {"role": "assistant", "content": message.content}
