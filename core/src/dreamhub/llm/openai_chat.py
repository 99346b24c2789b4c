"""The chat client for endpoints that speak OpenAI's protocol."""

from collections.abc import AsyncIterator, Mapping, Sequence

import openai
from openai import AsyncStream
from openai.types import chat

from dreamhub.errors import UnavailableError
from dreamhub.llm.budget import Budget, LocalBudget
from dreamhub.llm.chat import ChatCompletion, ChatMessage, to_wire
from dreamhub.llm.failures import translate
from dreamhub.llm.models import ModelSettings
from dreamhub.llm.provider import Caller, Provider, Raw, Request


class OpenAIChat:
    def __init__(self, settings: ModelSettings, provider: Provider | None = None, caller: Caller | None = None) -> None:
        self._settings = settings
        self._provider = provider or Provider(settings)
        self._caller = caller or Caller(LocalBudget(settings.rates), urgent=True)

    def charged_to(self, budget: Budget) -> "OpenAIChat":
        """The same model, with all that it has learned, in another's name."""
        return OpenAIChat(self._settings, self._provider, Caller(budget, urgent=True))

    @property
    def model(self) -> str:
        return self._settings.name

    async def complete(self, messages: Sequence[ChatMessage], max_tokens: int) -> ChatCompletion:
        client, served = self._provider.client, self._provider.served_name

        async def send(headers: Mapping[str, str]) -> Raw[chat.ChatCompletion]:
            return await client.chat.completions.with_raw_response.create(
                model=served, messages=to_wire(messages), max_completion_tokens=max_tokens, extra_headers=headers
            )

        request = Request(self._expect(messages, max_tokens), send, count_tokens)
        answer = await self._provider.call(self._caller, request)
        if not answer.choices:
            raise UnavailableError(f"model {self.model} gave an answer without a choice", code="ProviderAnswer")
        first, usage = answer.choices[0], answer.usage
        if usage is not None:
            self._provider.scale.learn([message.content for message in messages], usage.prompt_tokens)
        return ChatCompletion(
            text=first.message.content or "",
            prompt_tokens=usage.prompt_tokens if usage else 0,
            completion_tokens=usage.completion_tokens if usage else 0,
            finish_reason=first.finish_reason,
        )

    async def stream(self, messages: Sequence[ChatMessage], max_tokens: int) -> AsyncIterator[str]:
        client, served = self._provider.client, self._provider.served_name

        async def send(headers: Mapping[str, str]) -> Raw[AsyncStream[chat.ChatCompletionChunk]]:
            return await client.chat.completions.with_raw_response.create(
                model=served,
                messages=to_wire(messages),
                max_completion_tokens=max_tokens,
                extra_headers=headers,
                stream=True,
            )

        request = Request(self._expect(messages, max_tokens), send, lambda _: None)
        async with await self._provider.call(self._caller, request) as answer:
            try:
                async for part in answer:
                    if part.choices and (piece := part.choices[0].delta.content):
                        yield piece
            except openai.OpenAIError as error:
                raise translate(self.model, error) from error

    async def close(self) -> None:
        await self._provider.close()
        await self._caller.budget.close()

    def _expect(self, messages: Sequence[ChatMessage], max_tokens: int) -> int:
        """Providers count what an answer may become, too, until they know."""
        return self._provider.scale.expect([message.content for message in messages]) + max_tokens


def count_tokens(answer: chat.ChatCompletion) -> int | None:
    return answer.usage.total_tokens if answer.usage is not None else None
