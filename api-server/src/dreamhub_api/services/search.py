"""From a question to ranked chunks: embed, look up, fuse."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from dreamhub.crd.tenant import Tenant
from dreamhub.domain.keys import DataKeys
from dreamhub.domain.terms import TermIndex
from dreamhub.metering import TokenMeter
from dreamhub.sql.quota import Purpose, check_tokens, use_tokens
from dreamhub.sql.search import Filters, Hit, SearchQuery, fetch_index_state, search
from dreamhub_api.metrics import Metrics
from dreamhub_api.services.models import Models
from dreamhub_api.services.sessions import Sessions
from dreamhub_client.models import SearchFilters

KEPT_TERM_INDEXES = 256
QUESTION_PROMPT = "question/1"
"""Kept with each call: a question is embedded as it is."""


@dataclass(frozen=True)
class Question:
    text: str
    limit: int
    filters: SearchFilters
    purpose: Purpose = "search"


@dataclass(frozen=True)
class Found:
    hits: list[Hit]
    model: str
    took_ms: float


@dataclass(frozen=True)
class KeptIndex:
    """A tenant's term index with the keys that it was made from."""

    keys: DataKeys
    terms: TermIndex


class SearchService:
    def __init__(
        self,
        sessions: Sessions,
        models: Models,
        find_tenant: Callable[[str], Tenant | None],
        metrics: Metrics,
    ) -> None:
        self._sessions = sessions
        self._models = models
        self._find_tenant = find_tenant
        self._metrics = metrics
        self._indexes: OrderedDict[str, KeptIndex] = OrderedDict()

    async def find(self, tenant: str, question: Question) -> Found:
        """No hits before the tenant's first ingestion. The question is embedded outside of any transaction.

        Its tokens are the tenant's: refused early when none is left, and entered last, for that makes others wait.
        """
        started = time.perf_counter()
        async with self._sessions.open(tenant, readonly=True) as session:
            state = await fetch_index_state(session.conn)
            if state is not None:
                await check_tokens(session.conn)
        if state is None:
            return Found([], self._configured_model(tenant), 0.0)
        embedder = await self._models.embedder(state.model, tenant)
        embedded = await self.meter(tenant, question.purpose).embed(embedder, [question.text])
        terms = await asyncio.to_thread(self._term_index(tenant).query, question.text)
        query = SearchQuery(
            embedding=embedded.result.vectors[0],
            terms=terms,
            lexical_weight=embedder.lexical_weight,
            limit=question.limit,
            filters=build_filters(question.filters),
        )
        async with self._sessions.open(tenant, readonly=embedded.due is None) as session:
            hits = await search(session.conn, session.keys, query)
            if embedded.due is not None:
                await use_tokens(session.conn, embedded.due, lazily=True)
        took_ms = (time.perf_counter() - started) * 1000
        self._metrics.search_latency.observe(took_ms)
        return Found(hits, state.model, round(took_ms, 3))

    def meter(self, tenant: str, purpose: Purpose, prompt: str = QUESTION_PROMPT) -> TokenMeter:
        return TokenMeter(partial(self._sessions.connection, tenant), purpose, prompt=prompt)

    def _configured_model(self, tenant: str) -> str:
        resource = self._find_tenant(tenant)
        return resource.spec.models.embedding if resource is not None else ""

    def _term_index(self, tenant: str) -> TermIndex:
        """Kept by tenant for its cache of words; made anew when the tenant's keys change."""
        keys = self._sessions.keys(tenant)
        known = self._indexes.pop(tenant, None)
        entry = known if known is not None and known.keys == keys else KeptIndex(keys, TermIndex(keys))
        self._indexes[tenant] = entry
        while len(self._indexes) > KEPT_TERM_INDEXES:
            self._indexes.popitem(last=False)
        return entry.terms


def build_filters(filters: SearchFilters) -> Filters:
    return Filters(
        tags=filters.tags,
        media_types=filters.media_types,
        document_ids=filters.documents,
        created_from=filters.created_from,
        created_until=filters.created_until,
    )
