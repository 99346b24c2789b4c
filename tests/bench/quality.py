"""Search: how good and how fast, on our evaluation sets, against its own two halves."""

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dreamhub.domain.terms import TermIndex
from dreamhub.llm.embedding import Embedder, open_embedder
from dreamhub.llm.models import BUILTIN_EMBEDDING, DEFAULT_MODELS
from dreamhub.sql.connections import Connection
from dreamhub.sql.search import Hit, SearchQuery, search
from tests.bench.corpus import read_samples
from tests.bench.environment import Environment
from tests.bench.table import Aim, Row

DATA = Path(__file__).parent / "data"
DEPTH = 10


@dataclass(frozen=True, slots=True)
class Question:
    text: str
    document: str
    answer: str


def read_questions(language: str) -> list[Question]:
    lines = (DATA / f"{language}.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines if line.strip()]
    return [Question(record["question"], record["document"], record["answer"]) for record in records]


def reciprocal_rank(question: Question, hits: Sequence[Hit]) -> float:
    """1/rank of the first hit of the right document among distinct documents' chunks, 0 when it is not there."""
    for rank, hit in enumerate(hits, start=1):
        if hit.document_name == question.document and question.answer in " ".join(hit.text.split()):
            return 1 / rank
    return 0.0


@dataclass
class Searcher:
    """One tenant's search, with the weight of the two halves to choose."""

    environment: Environment
    conn: Connection
    embedder: Embedder
    index: TermIndex
    milliseconds: list[float]

    async def find(self, text: str, weight: float) -> list[Hit]:
        started = time.perf_counter()
        embedded = await self.embedder.embed([text])
        query = SearchQuery(embedded.vectors[0], self.index.query(text), weight, DEPTH)
        hits = await search(self.conn, self.environment.tenant.keys, query)
        self.milliseconds.append((time.perf_counter() - started) * 1000)
        return hits

    async def mean_reciprocal_rank(self, questions: Sequence[Question], weight: float) -> float:
        ranks = [reciprocal_rank(question, await self.find(question.text, weight)) for question in questions]
        return statistics.fmean(ranks)


async def measure_quality(environment: Environment) -> list[Row]:
    """Rank every question in the sample library: fused, by BM25 alone, by vectors alone."""
    documents = [await environment.upload(name, data) for name, data in read_samples().items()]
    await environment.run_worker(documents)
    embedder = open_embedder(DEFAULT_MODELS.find("embedding", BUILTIN_EMBEDDING))
    async with environment.tenant.pool.acquire() as conn:
        searcher = Searcher(environment, conn, embedder, TermIndex(environment.tenant.keys), [])
        rows = [row for language in ("english", "chinese") for row in await _rank(searcher, language)]
        rows += await _time(searcher)
        rows.append(await _recall(searcher))
    await embedder.close()
    return rows


async def _rank(searcher: Searcher, language: str) -> list[Row]:
    questions = read_questions(language)
    fused = await searcher.mean_reciprocal_rank(questions, searcher.embedder.lexical_weight)
    lexical = await searcher.mean_reciprocal_rank(questions, 1.0)
    semantic = await searcher.mean_reciprocal_rank(questions, 0.0)
    note = f"{len(questions)} questions, passage that holds the answer"
    return [
        Row(f"search: MRR@10 {language}, against BM25 alone", "", fused, lexical, Aim("ratio", ">", 1), note),
        Row(f"search: MRR@10 {language}, against vectors alone", "", fused, semantic, Aim("ratio", ">", 1), note),
    ]


async def _time(searcher: Searcher) -> list[Row]:
    searcher.milliseconds.clear()
    await searcher.mean_reciprocal_rank(read_questions("english"), searcher.embedder.lexical_weight)
    cuts = statistics.quantiles(searcher.milliseconds, n=20)
    chunks = await searcher.conn.fetchval("SELECT count(*) FROM chunks")
    note = f"question embedded, {chunks} chunks searched, hits decrypted"
    return [Row("search: p50", "ms", cuts[9], note=note), Row("search: p95", "ms", cuts[18], note=note)]


async def _recall(searcher: Searcher) -> Row:
    """Of the true ten nearest chunks (numpy over all vectors), how many the vector part returns."""
    rows = await searcher.conn.fetch("SELECT version_id, ordinal, embedding FROM chunks")
    matrix = np.array([np.asarray(row["embedding"], dtype=np.float32) for row in rows])
    matrix /= np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-9)
    identities = [(row["version_id"], row["ordinal"]) for row in rows]
    found = total = 0
    for question in read_questions("english"):
        vector = (await searcher.embedder.embed([question.text])).vectors[0]
        nearest = np.argsort(-(matrix @ vector), kind="stable")[:DEPTH]
        truth = {identities[position] for position in nearest}
        hits = await searcher.find(question.text, 0.0)
        found += len(truth & {(hit.version_id, hit.ordinal) for hit in hits})
        total += len(truth)
    return Row(
        "search: recall@10 of the vector part", "", found / total, 1.0, Aim("ratio", ">=", 0.99), "reference: exact"
    )
