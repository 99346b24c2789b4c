from datetime import timedelta

import numpy as np
import pytest

from dreamhub.domain.terms import TermIndex
from dreamhub.errors import ConflictError
from dreamhub.sql.connections import Connection, Pool
from dreamhub.sql.documents import UploadOutcome, fetch_document
from dreamhub.sql.pool import tenant_transaction
from dreamhub.sql.search import Filters, Hit, SearchQuery, fetch_index_state, search
from tests.integration.conftest import TenantLogin
from tests.integration.sql.support import DIMENSIONS, SPACE, File, embed, ingest

CATS = File("cats.md", ("Cats sleep on the sofa.", "A cat hunts mice at night."), tags=("animals", "2024"))
CARS = File("cars.html", ("Cars need petrol.", "The garage repairs a car."), tags=("2024",), media_type="text/html")
CHINESE = File("北京.txt", ("北京大学在北京。", "上海是一座城市。"), title="", headings=())


def ask(
    login: TenantLogin, question: str, *, weight: float = 1.0, limit: int = 10, filters: Filters | None = None
) -> SearchQuery:
    terms = TermIndex(login.keys).query(question)
    return SearchQuery(embed(question), terms, weight, limit, filters or Filters())


async def fill(conn: Connection, login: TenantLogin) -> list[UploadOutcome]:
    return [await ingest(conn, login.keys, file) for file in (CATS, CARS, CHINESE)]


def names(hits: list[Hit]) -> set[str]:
    return {hit.document_name for hit in hits}


async def test_finds_by_stemmed_words_and_bigrams(tenant: TenantLogin, tenant_connection: Connection) -> None:
    await fill(tenant_connection, tenant)
    hits = await search(tenant_connection, tenant.keys, ask(tenant, "sleeping cat"))
    assert (hits[0].text, hits[0].document_name, hits[0].page) == ("Cats sleep on the sofa.", "cats.md", 1)
    assert hits[0].lexical > hits[1].lexical > 0
    assert hits[0].score == 1.0
    hits = await search(tenant_connection, tenant.keys, ask(tenant, "大学"))
    assert hits[0].text == "北京大学在北京。"


async def test_title_and_headings_are_searchable(tenant: TenantLogin, tenant_connection: Connection) -> None:
    file = File("x.md", ("nothing else",), title="Zeppelin manual", headings=("Landing", "Ropes"))
    await ingest(tenant_connection, tenant.keys, file)
    for question in ("zeppelin", "ropes"):
        hit = (await search(tenant_connection, tenant.keys, ask(tenant, question)))[0]
        assert hit.lexical > 0
        assert (hit.title, hit.heading_path) == ("Zeppelin manual", ("Landing", "Ropes"))


async def test_finds_by_vector(tenant: TenantLogin, tenant_connection: Connection) -> None:
    await fill(tenant_connection, tenant)
    hits = await search(tenant_connection, tenant.keys, ask(tenant, CARS.texts[1], weight=0.0, limit=3))
    assert hits[0].text == CARS.texts[1]
    assert hits[0].semantic == pytest.approx(1.0, abs=1e-3)
    assert len(hits) == 3
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


async def test_vector_part_is_exact(tenant: TenantLogin, tenant_connection: Connection) -> None:
    texts = tuple(f"text number {number}" for number in range(200))
    await ingest(tenant_connection, tenant.keys, File("many.md", texts))
    wanted = embed("question")
    best = sorted(texts, key=lambda text: -float(embed(text) @ wanted))[:10]
    hits = await search(tenant_connection, tenant.keys, SearchQuery(wanted, (), lexical_weight=0.0))
    assert [hit.text for hit in hits] == best


async def test_hybrid_scores_are_the_definition(tenant: TenantLogin, tenant_connection: Connection) -> None:
    """Scores in SQL equal BM25 and cosine computed here."""
    await fill(tenant_connection, tenant)
    index = TermIndex(tenant.keys)
    texts = [(file, text) for file in (CATS, CARS, CHINESE) for text in file.texts]
    vectors = {text: index.document("\n".join((file.title, *file.headings, text))) for file, text in texts}
    question = "cat car"
    expected = {}
    for text, vector in vectors.items():
        score = 0.0
        for term in index.query(question):
            count = sum(term in other.ids for other in vectors.values())
            if count and term in vector.ids:
                idf = np.log1p((len(vectors) - count + 0.5) / (count + 0.5))
                score += float(idf * vector.weights[list(vector.ids).index(term)])
        expected[text] = score
    for hit in await search(tenant_connection, tenant.keys, ask(tenant, question, weight=0.5)):
        assert hit.lexical == pytest.approx(expected[hit.text], rel=1e-4)
        assert hit.semantic == pytest.approx(float(embed(hit.text) @ embed(question)), abs=2e-3)


async def test_filters(tenant: TenantLogin, tenant_connection: Connection) -> None:
    cats, cars, chinese = await fill(tenant_connection, tenant)
    first = (await fetch_document(tenant_connection, tenant.keys, cats.document_id)).created_at
    second = (await fetch_document(tenant_connection, tenant.keys, cars.document_id)).created_at
    cases: list[tuple[Filters, set[str]]] = [
        (Filters(tags=("2024",)), {"cats.md", "cars.html"}),
        (Filters(tags=("2024", "animals")), {"cats.md"}),
        (Filters(tags=("absent",)), set()),
        (Filters(media_types=("text/html",)), {"cars.html"}),
        (Filters(document_ids=(chinese.document_id, cats.document_id)), {"北京.txt", "cats.md"}),
        (Filters(created_from=second), {"cars.html", "北京.txt"}),
        (Filters(created_until=second), {"cats.md"}),
        (Filters(created_from=first, created_until=first + timedelta(microseconds=1)), {"cats.md"}),
        (Filters(tags=("2024",), media_types=("text/plain",)), {"cats.md"}),
        (Filters(document_ids=()), set()),
        (Filters(media_types=()), set()),
        (Filters(tags=()), set()),
    ]
    for filters, wanted in cases:
        hits = await search(tenant_connection, tenant.keys, ask(tenant, "cat", weight=0.5, filters=filters))
        assert names(hits) == wanted, filters


async def test_empty_and_hopeless_questions(tenant: TenantLogin, tenant_connection: Connection) -> None:
    assert await fetch_index_state(tenant_connection) is None
    assert await search(tenant_connection, tenant.keys, ask(tenant, "cat")) == []
    await fill(tenant_connection, tenant)
    hits = await search(tenant_connection, tenant.keys, ask(tenant, "?!", weight=0.7))
    assert len(hits) == 6, "no words: the vectors rank"
    hits = await search(tenant_connection, tenant.keys, SearchQuery(np.zeros(DIMENSIONS, np.float32), (), 0.5))
    assert len(hits) == 6, "a zero vector has no cosine and breaks nothing"
    assert await search(tenant_connection, tenant.keys, ask(tenant, "cat", limit=0)) == []


async def test_foreign_vectors_are_refused(tenant: TenantLogin, tenant_connection: Connection) -> None:
    await fill(tenant_connection, tenant)
    query = SearchQuery(np.zeros(DIMENSIONS + 1, np.float32), (), lexical_weight=0.5)
    with pytest.raises(ConflictError) as caught:
        await search(tenant_connection, tenant.keys, query)
    assert caught.value.code == "EmbeddingModelChanged"
    assert SPACE.model in caught.value.message


async def test_api_searches_as_the_tenant(tenant: TenantLogin, tenant_connection: Connection, api_pool: Pool) -> None:
    await fill(tenant_connection, tenant)
    async with tenant_transaction(api_pool, tenant.tenant, readonly=True) as conn:
        hits = await search(conn, tenant.keys, ask(tenant, "petrol"))
        assert hits[0].document_name == "cars.html"
