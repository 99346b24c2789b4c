"""What must be true of the database when a run is over, whatever was killed: every chunk once, and counted once."""

from dataclasses import dataclass

from dreamhub.sql.connections import Connection

_COUNTS = """
SELECT
    (SELECT count(*) FROM chunks) AS rows,
    (SELECT count(*) FROM (SELECT DISTINCT document_id, ordinal FROM chunks) AS found) AS distinct_rows,
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
    """Chunks that are not there."""
    duplicated: int
    """Chunks that are there more than once."""
    faults: tuple[str, ...]

    @property
    def good(self) -> bool:
        return not (self.lost or self.duplicated or self.faults)


async def check(conn: Connection, documents: int, chunks: int) -> Verdict:
    """`chunks` is what a run without faults makes of the same documents."""
    row = await conn.fetchrow(_COUNTS)
    if row is None:
        return Verdict(chunks, 0, ("the database says nothing",))
    wanted = {
        "documents searchable": (row["searchable"], documents),
        "documents settled as done": (row["settled"], documents),
        "documents counted": (row["counted_documents"], documents),
        "chunks counted": (row["counted_chunks"], chunks),
        "chunks of the index": (row["indexed"], chunks),
        "tokens charged": (row["charged"], row["tokens"]),
    }
    faults = tuple(f"{what}: {found}, not {want}" for what, (found, want) in wanted.items() if found != want)
    return Verdict(max(0, chunks - row["distinct_rows"]), row["rows"] - row["distinct_rows"], faults)
