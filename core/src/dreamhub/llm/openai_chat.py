"""The chat client for endpoints that speak OpenAI's protocol."""

from collections.abc import AsyncIterator, Sequence

import openai
from openai import AsyncStream
from openai.types import chat

from dreamhub.errors import UnavailableError
from dreamhub.llm.chat import ChatCompletion, ChatMessage, to_wire
from dreamhub.llm.models import ModelSettings
from dreamhub.llm.provider import call_provider, open_client, translate


class OpenAIChat:
    def __init__(self, settings: ModelSettings) -> None:
        self._settings = settings
        self._served = settings.served_name or settings.name
        self._client = open_client(settings)

    @property
    def model(self) -> str:
        return self._settings.name

    async def complete(self, messages: Sequence[ChatMessage], max_tokens: int) -> ChatCompletion:
        async def request() -> chat.ChatCompletion:
            return await self._client.chat.completions.create(
                model=self._served, messages=to_wire(messages), max_completion_tokens=max_tokens
            )

        answer = await call_provider(self._settings, request)
        if not answer.choices:
            raise UnavailableError(f"model {self.model} gave an answer without a choice", code="ProviderAnswer")
        first, usage = answer.choices[0], answer.usage
        return ChatCompletion(
            text=first.message.content or "",
            prompt_tokens=usage.prompt_tokens if usage else 0,
            completion_tokens=usage.completion_tokens if usage else 0,
            finish_reason=first.finish_reason,
        )

    async def stream(self, messages: Sequence[ChatMessage], max_tokens: int) -> AsyncIterator[str]:
        async def request() -> AsyncStream[chat.ChatCompletionChunk]:
            return await self._client.chat.completions.create(
                model=self._served, messages=to_wire(messages), max_completion_tokens=max_tokens, stream=True
            )

        answer = await call_provider(self._settings, request)
        async with answer:
            try:
                async for part in answer:
                    if part.choices and (piece := part.choices[0].delta.content):
                        yield piece
            except openai.OpenAIError as error:
                raise translate(self.model, error) from error

    async def close(self) -> None:
        await self._client.close()
