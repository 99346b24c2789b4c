"""The platform's models, opened once and kept: embedders by name, chat models by name."""

import asyncio

from redis.asyncio import Redis

from dreamhub.errors import ConflictError, InvalidInputError
from dreamhub.llm.chat import ChatModel, open_chat
from dreamhub.llm.embedding import Embedder, open_embedder
from dreamhub.llm.models import ModelList, ModelSettings
from dreamhub.storage.model_budget import Place, SharedBudget


class Models:
    """Opening loads tables or libraries, so it happens in a thread and once for each name."""

    def __init__(self, catalogue: ModelList, redis: Redis) -> None:
        self._catalogue = catalogue
        self._redis = redis
        self._budgets: dict[Place, SharedBudget] = {}
        self._lock = asyncio.Lock()
        self._embedders: dict[str, Embedder] = {}
        self._chats: dict[str, ChatModel] = {}

    async def embedder(self, name: str, tenant: str) -> Embedder:
        """In the tenant's name, before its bulk work.

        Raises ConflictError when the platform no longer lists the model that an index was made with.
        """
        embedder = await self._open(name)
        return (
            embedder.charged_to(self._budget(tenant, "embedding", name), urgent=True) if embedder.remote else embedder
        )

    async def _open(self, name: str) -> Embedder:
        async with self._lock:
            if name not in self._embedders:
                self._embedders[name] = await asyncio.to_thread(open_embedder, self._find("embedding", name))
            return self._embedders[name]

    async def chat(self, name: str, tenant: str) -> ChatModel | None:
        """In the tenant's name. None for the built-in answerer, which is no model."""
        settings = self._find("chat", name)
        if settings.builtin:
            return None
        async with self._lock:
            if name not in self._chats:
                self._chats[name] = await asyncio.to_thread(open_chat, settings)
            return self._chats[name].charged_to(self._budget(tenant, "chat", name))

    async def warm(self) -> None:
        """Load the built-in embedding models, so that no caller waits for it."""
        for settings in self._catalogue.models:
            if settings.kind == "embedding" and settings.builtin:
                await self._open(settings.name)

    async def close(self) -> None:
        for embedder in self._embedders.values():
            await embedder.close()
        for chat in self._chats.values():
            await chat.close()

    def _budget(self, tenant: str, kind: str, name: str) -> SharedBudget:
        """Kept: what a process may do by itself without a share must not begin anew with each call."""
        place = Place(tenant, name)
        if place not in self._budgets:
            settings = self._find(kind, name)
            self._budgets[place] = SharedBudget(self._redis, place, settings.rates.times(settings.fallback_share))
        return self._budgets[place]

    def _find(self, kind: str, name: str) -> ModelSettings:
        try:
            return self._catalogue.find("embedding" if kind == "embedding" else "chat", name)
        except InvalidInputError as error:
            raise ConflictError(
                f"the {kind} model {name} of this tenant is not in the platform's model list; ask whoever runs it",
                code="ModelMissing",
            ) from error
