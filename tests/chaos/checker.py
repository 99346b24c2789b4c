"""What must be true when a run is over, whatever was killed: every chunk once, with its text, and counted once."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dreamhub.domain.keys import DataKeys
from dreamhub.sql.bodies import open_body, open_meta
from dreamhub.sql.connections import Connection
from tests.chaos.corpus import Corpus, Place, find_place

_CHUNKS = """
SELECT c.landing, c.ordinal, c.body_ct, c.document_id, d.meta_ct,
    v.shown IS NOT DISTINCT FROM c.landing AND d.active_version = v.id AS searchable
FROM chunks c
JOIN document_versions v ON v.id = c.version_id
JOIN documents d ON d.id = c.document_id
"""

_COUNTS = """
SELECT
    (SELECT count(*) FROM documents WHERE active_version IS NOT NULL) AS searchable,
    (SELECT coalesce(sum(chunks), 0) FROM index_generations) AS indexed,
    (SELECT coalesce(sum(chunks), 0) FROM run_workers) AS counted_chunks,
    (SELECT coalesce(sum(done), 0) FROM run_workers) AS counted_documents,
    (SELECT count(*) FROM work_items WHERE state = 'Done') AS settled,
    (SELECT coalesce(sum(tokens), 0) FROM chunks) AS tokens,
    (SELECT coalesce(sum(tokens), 0) FROM token_uses) AS charged
"""


@dataclass(frozen=True)
class Verdict:
    lost: int
    """Chunks that no search can find."""
    duplicated: int
    """Chunks that are there once more, searchable or not."""
    faults: tuple[str, ...]

    @property
    def good(self) -> bool:
        return not (self.lost or self.duplicated or self.faults)


@dataclass(frozen=True)
class Told:
    """What the IngestJob said, from its first look to its last."""

    percents: Sequence[int]
    status: dict[str, Any]


async def check(conn: Connection, keys: DataKeys, corpus: Corpus, told: Told) -> Verdict:
    """All that the tenant has must be the corpus."""
    truth, searchable, everything = corpus.truth(), Counter[Place](), Counter[Place]()
    for row in await conn.fetch(_CHUNKS):
        name = open_meta(keys, row["document_id"], row["meta_ct"]).name
        body = open_body(keys, row["landing"], row["ordinal"], row["body_ct"])
        place = find_place(name, row["ordinal"], body.text)
        everything[place] += 1
        searchable[place] += row["searchable"]
    foreign = everything.keys() - truth
    counts = await _compare_counts(conn, corpus, told.status)
    return Verdict(
        lost=sum(searchable[place] == 0 for place in truth),
        duplicated=sum(count - 1 for count in everything.values()),
        faults=(*([f"chunks of another text: {len(foreign)}"] if foreign else []), *counts, *_find_steps_back(told)),
    )


async def _compare_counts(conn: Connection, corpus: Corpus, status: dict[str, Any]) -> list[str]:
    row = await conn.fetchrow(_COUNTS)
    if row is None:
        return ["the database says nothing"]
    progress, documents, chunks = status.get("progress", {}), corpus.documents, corpus.chunks
    counts = progress.get("documents", {})
    wanted = {
        "documents searchable": (row["searchable"], documents),
        "documents settled as done": (row["settled"], documents),
        "documents counted": (row["counted_documents"], documents),
        "chunks counted": (row["counted_chunks"], chunks),
        "chunks of the index": (row["indexed"], chunks),
        "tokens charged": (row["charged"], row["tokens"]),
        "phase of the IngestJob": (status.get("phase"), "Succeeded"),
        "percent of the IngestJob": (progress.get("percent"), 100),
        "documents of the IngestJob": (counts.get("total"), documents),
        "documents done of the IngestJob": (counts.get("done"), documents),
        "documents failed of the IngestJob": (counts.get("failed", 0), 0),
        "chunks of the IngestJob": (progress.get("chunks"), chunks),
    }
    return [f"{what}: {found}, not {want}" for what, (found, want) in wanted.items() if found != want]


def _find_steps_back(told: Told) -> list[str]:
    steps = zip(told.percents, told.percents[1:], strict=False)
    return [f"percent went back from {before} to {after}" for before, after in steps if after < before]
