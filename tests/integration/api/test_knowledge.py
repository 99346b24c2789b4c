"""Search and answers over documents that a worker's own functions have stored, with the built-in model."""

import hashlib
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from dreamhub.domain.places import Unit
from dreamhub.domain.terms import TermIndex
from dreamhub.ids import new_id
from dreamhub.llm.embedding import Embedder, open_embedder
from dreamhub.llm.models import BUILTIN_EMBEDDING, DEFAULT_MODELS
from dreamhub.secret_files import secret_source
from dreamhub.sql.documents import NewUpload, register_upload
from dreamhub.sql.ingest import (
    Chunk,
    Claim,
    EmbeddingSpace,
    activate_version,
    claim_version,
    ensure_generation,
    seal_chunks,
    store_batch,
)
from dreamhub.storage.functions import load_functions
from dreamhub.storage.model_budget import Place, fetch_calls
from dreamhub.storage.redis_login import open_redis
from dreamhub_api.settings import Settings
from tests.integration.api.conftest import ready_caller
from tests.integration.api.platform import Caller, Cluster, Tenant, run_server, until
from tests.integration.llm.provider_server import run_provider
from tests.integration.sql.support import connected

SPACE = EmbeddingSpace(BUILTIN_EMBEDDING, 256, "tokens-v1")
HANDBOOK = (
    ("Returns", "Goods may be returned within thirty days. The buyer pays the postage of a return."),
    ("Warranty", "The warranty of the pump is 24 months from delivery. Wear parts are not covered by it."),
    ("Cleaning", "Rinse the filter under running water every week. Never use soap on the filter."),
)
CHINESE = (
    ("保修", "水泵的保修期为两年\uff0c自交货之日起计算。易损件不在保修范围内。"),
    ("清洁", "每周用清水冲洗滤芯。请勿使用肥皂。"),
)


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return open_embedder(DEFAULT_MODELS.find("embedding", BUILTIN_EMBEDDING))


async def ingest(
    tenant: Tenant, embedder: Embedder, name: str, sections: tuple[tuple[str, str], ...], unit: Unit = "page"
) -> str:
    text = "\n".join(body for _, body in sections)
    upload = NewUpload(
        new_id("doc"), new_id("ver"), name, "text/markdown", len(text), hashlib.sha256(text.encode()).digest(), ("kb",)
    )
    chunks = []
    for ordinal, (heading, body) in enumerate(sections):
        start = text.index(body)
        chunks.append(
            Chunk(
                ordinal,
                body,
                name,
                (heading,),
                ordinal + 1,
                start,
                start + len(body),
                len(body) // 4,
                "tokens-v1",
                unit,
            )
        )
    vectors = (await embedder.embed([f"{chunk.heading_path[0]}\n{chunk.text}" for chunk in chunks])).vectors
    async with connected(tenant.database_url) as conn:
        outcome = await register_upload(conn, tenant.keys, upload)
        generation = await ensure_generation(conn, SPACE)
        claim = Claim(outcome.version_id, "pod", "1.0", generation)
        claimed = await claim_version(conn, tenant.keys, claim)
        await store_batch(conn, claimed, seal_chunks(tenant.keys, TermIndex(tenant.keys), claimed, chunks, vectors))
        await activate_version(conn, claimed, pages=len(chunks), chunks=len(chunks))
    return outcome.document_id


@pytest_asyncio.fixture
async def handbook(acme: Tenant, embedder: Embedder) -> str:
    return await ingest(acme, embedder, "handbook.md", HANDBOOK)


async def test_nothing_is_found_before_the_first_ingestion(caller: Caller) -> None:
    found = await caller.ok("POST", "/search", json={"query": "warranty"})
    assert (found["hits"], found["model"]) == ([], "builtin/wordllama-256")
    answer = await caller.ok("POST", "/answers", json={"question": "How long is the warranty?"})
    assert (answer["answered"], answer["citations"]) == (False, [])


async def test_search_ranks_and_tells_where(caller: Caller, handbook: str) -> None:
    found = await caller.ok("POST", "/search", json={"query": "warranty of the pump", "limit": 2})
    best = found["hits"][0]
    assert best["documentId"] == handbook
    assert (best["documentName"], best["headingPath"], best["page"]) == ("handbook.md", ["Warranty"], 2)
    assert best["text"] == HANDBOOK[1][1]
    assert best["score"] > found["hits"][1]["score"]
    assert len(found["hits"]) == 2


async def test_a_slide_is_called_one_everywhere(caller: Caller, acme: Tenant, embedder: Embedder) -> None:
    document = await ingest(acme, embedder, "deck.pptx", HANDBOOK, "slide")
    found = await caller.ok("POST", "/search", json={"query": "warranty of the pump", "limit": 1})
    answer = await caller.ok("POST", "/answers", json={"question": "How long is the warranty of the pump?"})
    chunks = await caller.ok("GET", f"/documents/{document}/chunks")
    for place in (found["hits"][0], answer["citations"][0], chunks["items"][1]):
        assert (place["page"], place["unit"]) == (2, "slide")


async def test_what_was_made_names_its_build_and_generation(caller: Caller, handbook: str) -> None:
    (version,) = (await caller.ok("GET", f"/documents/{handbook}/versions"))["items"]
    chunks = (await caller.ok("GET", f"/documents/{handbook}/chunks"))["items"]
    assert version["workerBuild"]
    assert version["generation"] >= 1
    assert {(chunk["workerBuild"], chunk["generation"]) for chunk in chunks} == {
        (version["workerBuild"], version["generation"])
    }
    assert {chunk["strategy"] for chunk in chunks} != {None}


async def test_filters(caller: Caller, handbook: str) -> None:
    async def hits(**filters: object) -> int:
        return len((await caller.ok("POST", "/search", json={"query": "filter", "filters": filters}))["hits"])

    assert await hits(documents=[handbook]) == 3
    assert await hits(tags=["kb"], mediaTypes=["text/markdown"]) == 3
    assert await hits(documents=[new_id("doc")]) == 0
    assert await hits(documents=[]) == 0
    assert await hits(tags=["other"]) == 0
    assert await hits(createdUntil="2020-01-01T00:00:00Z") == 0


@pytest.mark.parametrize(
    ("question", "says"),
    [
        ("How long is the warranty of the pump?", "24 months"),
        ("Who pays the postage of a return?", "buyer pays the postage"),
        ("How often must the filter be rinsed?", "every week"),
    ],
)
async def test_answer_cites_its_source(caller: Caller, handbook: str, question: str, says: str) -> None:
    answer = await caller.ok("POST", "/answers", json={"question": question})
    assert answer["answered"]
    assert says in answer["answer"]
    citation = answer["citations"][0]
    assert citation["documentId"] == handbook
    assert says in citation["quote"]
    assert "[1]" in answer["answer"]
    text = "\n".join(body for _, body in HANDBOOK)
    assert text[citation["charStart"] : citation["charEnd"]] == citation["quote"]


@pytest.mark.parametrize(
    "question", ["What is the capital of France?", "Who won the football world cup?", "How do I reset my password?"]
)
async def test_no_answer_is_said_honestly(caller: Caller, handbook: str, question: str) -> None:
    answer = await caller.ok("POST", "/answers", json={"question": question})
    assert (answer["answered"], answer["citations"]) == (False, [])
    assert answer["answer"] == "No answer was found in your documents."


async def test_chinese(caller: Caller, acme: Tenant, embedder: Embedder) -> None:
    document = await ingest(acme, embedder, "手册.md", CHINESE)
    found = await caller.ok("POST", "/search", json={"query": "水泵保修期"})
    assert found["hits"][0]["headingPath"] == ["保修"]
    answer = await caller.ok("POST", "/answers", json={"question": "水泵的保修期是多久\uff1f"})
    assert answer["citations"][0]["documentId"] == document
    assert "两年" in answer["answer"]
    assert "易损件" not in answer["answer"] or len(answer["citations"]) > 1


async def test_strangers_find_nothing(caller: Caller, stranger: Caller, handbook: str) -> None:
    assert (await stranger.ok("POST", "/search", json={"query": "warranty of the pump"}))["hits"] == []
    body = {"query": "warranty", "filters": {"documents": [handbook]}}
    assert (await stranger.ok("POST", "/search", json=body))["hits"] == []
    assert len((await caller.ok("GET", f"/documents/{handbook}/chunks"))["items"]) == 3


async def test_answer_by_the_tenants_language_model(  # noqa: PLR0913, PLR0917 - the parts of a platform
    http: aiohttp.ClientSession,
    settings: Settings,
    cluster: Cluster,
    acme: Tenant,
    handbook: str,
    tmp_path: Path,
) -> None:
    """Configured, not coded: an entry in the platform's model list and its name in the tenant."""
    place = Place(acme.name, "test-chat")
    async with run_provider() as provider, open_redis(secret_source(settings.redis_url_file)) as redis:
        await load_functions(redis)
        models = tmp_path / "models.yaml"
        models.write_text(
            "models:\n"
            "  - {name: builtin/wordllama-256, kind: embedding, dimensions: 256, lexicalWeight: 0.5}\n"
            f"  - {{name: test-chat, kind: chat, endpoint: '{provider.endpoint}'}}\n"
        )
        await cluster.set_chat_model(acme.name, "test-chat")
        async with run_server(settings.model_copy(update={"models_file": models})) as url:
            caller = await ready_caller(http, url, acme)
            answer = await caller.ok("POST", "/answers", json={"question": "How long may goods be returned?"})
        calls = (await fetch_calls(redis, [place]))[place]
    assert (answer["answer"], answer["model"]) == ("Thirty days [1].", "test-chat")
    assert answer["citations"][0]["documentId"] == handbook
    prompt = provider.requests[-1]["messages"]
    assert "thirty days" in prompt[1]["content"]
    assert prompt[1]["content"].endswith("How long may goods be returned?")
    assert (calls.outcomes, calls.tokens) == ({"ok": 1}, 15), "taken from the tenant's own budget"


async def test_model_that_is_not_listed(caller: Caller, cluster: Cluster, acme: Tenant, handbook: str) -> None:
    await cluster.set_chat_model(acme.name, "gone-model")

    async def refused() -> bool:
        status, problem = await caller.call("POST", "/answers", json={"question": "warranty?"})
        return (status, problem.get("code")) == (409, "ModelMissing")

    await until(refused, "the server knows of the change")
