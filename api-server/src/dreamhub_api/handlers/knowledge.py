"""Handlers of /search and /answers."""

from dreamhub_api.calls import Call, NoQuery, Reply
from dreamhub_api.services.search import Question
from dreamhub_api.views import hit_view
from dreamhub_client.models import AnswerRequest, SearchRequest, SearchResponse


async def search_documents(call: Call[SearchRequest, NoQuery]) -> Reply:
    """Find chunks by meaning and by words, best first."""
    question = Question(call.body.query, call.body.limit, call.body.filters)
    found = await call.services.search.find(call.tenant, question)
    hits = tuple(hit_view(hit) for hit in found.hits)
    return Reply(200, SearchResponse(hits=hits, model=found.model, took_ms=found.took_ms))


async def answer_question(call: Call[AnswerRequest, NoQuery]) -> Reply:
    """Answer from the tenant's documents, with citations, or say that they hold no answer."""
    return Reply(200, await call.services.answers.answer(call.tenant, call.body))
