"""Calls to models, entered in the tenant's ledger: the one place where a call meets its price.

A model that somebody else runs costs as soon as it is called, and says how much afterwards: its tokens are reserved
before and settled after. A built-in one costs nothing until its result is used, and counts exactly: its tokens are
entered together with what they made.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dreamhub.llm.chat import ChatCompletion, ChatMessage, ChatModel
from dreamhub.llm.embedding import Embedder, EmbeddingResult
from dreamhub.llm.packing import token_bound
from dreamhub.sql.quota import Connect, Purpose, TokenUse, reserved_tokens

MESSAGE_TOKENS = 16
"""What a chat model's framing of one message takes at most, beside its text."""


@dataclass(frozen=True, slots=True)
class Metered:
    result: EmbeddingResult
    due: TokenUse | None
    """What is not entered yet; the caller does that in the transaction that uses the result."""


@dataclass(frozen=True)
class TokenMeter:
    """Of one tenant, for one purpose. Every call raises QuotaExceededError when it does not fit any more."""

    connect: Connect
    purpose: Purpose
    job: str | None = None
    """UID of the IngestJob."""
    prompt: str | None = None
    """Version of our own words around what is sent: of instructions, or of what is embedded."""

    async def embed(self, embedder: Embedder, texts: list[str]) -> Metered:
        if not embedder.remote:
            result = await embedder.embed(texts)
            return Metered(result, self._use(embedder.model, sum(result.tokens)))
        bound = self._use(embedder.model, sum(map(token_bound, texts)))
        async with reserved_tokens(self.connect, bound) as spending:
            result = await embedder.embed(texts)
            spending.tokens = sum(result.tokens)
        return Metered(result, None)

    async def complete(self, chat: ChatModel, messages: Sequence[ChatMessage], max_tokens: int) -> ChatCompletion:
        """A provider that does not say what it took has taken the bound."""
        prompt = sum(token_bound(message.content) + MESSAGE_TOKENS for message in messages)
        async with reserved_tokens(self.connect, self._use(chat.model, prompt + max_tokens)) as spending:
            completion = await chat.complete(messages, max_tokens)
            spending.tokens = (completion.prompt_tokens + completion.completion_tokens) or None
        return completion

    def _use(self, model: str, tokens: int) -> TokenUse:
        return TokenUse(model, self.purpose, tokens, self.job, self.prompt)
