"""One document from its original to searchable chunks."""

import asyncio
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from dreamhub.errors import InvalidInputError, UnavailableError
from dreamhub.metering import TokenMeter
from dreamhub.sql.ingest import (
    Chunk,
    ClaimedVersion,
    RunDocument,
    seal_chunks,
    store_batch,
)
from dreamhub.sql.quota import check_tokens
from dreamhub_worker.chunking import STRATEGY, Piece, document_title, split, text_to_embed
from dreamhub_worker.context import Toolbox
from dreamhub_worker.extract.extracted import Extracted
from dreamhub_worker.meter import FETCHED, READ, Meter
from dreamhub_worker.sniffing import sniff_file
from dreamhub_worker.transfer import Original

BATCH_CHUNKS = 256
"""Committed together: what a killed worker's successor does again at most."""


@dataclass(frozen=True, slots=True)
class Source:
    """A claimed version, how to get its original into a file, and who is charged."""

    claimed: ClaimedVersion
    fetch: Callable[[Path], Coroutine[Any, Any, Original]]
    tokens: TokenMeter


async def land(tools: Toolbox, meter: Meter, source: Source) -> RunDocument:
    """Fetch, extract, chunk, embed and store a claimed version, from its checkpoint on; all that is left is to show it.

    Returns the outcome that it has once it is shown. Raises UserError when the document is at fault, TransientError
    when another attempt may succeed.
    """
    claimed = source.claimed
    async with tools.connection() as conn:
        await check_tokens(conn)  # before the work that the first batch would be refused for
    extracted = await _read(tools, meter, source)
    meter.stage = "Chunking"
    with meter.timed("parse"):
        pieces = await asyncio.to_thread(lambda: list(split(extracted)))
    behind = pieces[claimed.next_ordinal - 1].end / len(extracted.text) if claimed.next_ordinal else 0.0
    meter.resume(claimed.next_ordinal, READ + (1 - READ) * behind)
    title = document_title(extracted, claimed.name)
    todo = iter(pieces[claimed.next_ordinal :])
    tokens = 0
    while batch := list(islice(todo, BATCH_CHUNKS)):
        tools.stop.check()
        spent = await _process(tools, meter, source, _Batch(title, batch))
        meter.stored(len(batch), spent, READ + (1 - READ) * batch[-1].end / len(extracted.text))
        tokens += spent
    return RunDocument(claimed.document_id, claimed.version_id, "Done", len(pieces), extracted.pages, tokens)


async def _read(tools: Toolbox, meter: Meter, source: Source) -> Extracted:
    """The original's text. Its bytes lie in a temporary file only while they are needed."""
    meter.stage = "Fetching"
    with tempfile.TemporaryDirectory(dir=tools.work_dir) as folder:
        path = Path(folder, "original")
        _check(tools, source.claimed, await tools.stop.guard(source.fetch(path)))
        if tools.scanner is not None:
            meter.stage = "Scanning"
            with meter.timed("parse"):
                await tools.stop.guard(tools.scanner.scan(path))
        meter.stage, meter.fraction = "Extracting", FETCHED
        with meter.timed("parse"):
            media_type = sniff_file(path, source.claimed.name, source.claimed.media_type)
            return await tools.stop.guard(tools.extractor.extract(path, media_type))


def _check(tools: Toolbox, claimed: ClaimedVersion, original: Original) -> None:
    """The original is what was registered: a link to write one outlives its registration."""
    if original.size != claimed.size:
        raise UnavailableError(
            f"the object store gave {original.size} of {claimed.size} bytes; the next try may succeed",
            code="ObjectStoreUnavailable",
        )
    if tools.keys.blind("content", original.sha256) != claimed.content_key:
        raise InvalidInputError(
            "the document's original was replaced after it was uploaded; upload it again", code="OriginalReplaced"
        )


@dataclass(frozen=True, slots=True)
class _Batch:
    title: str
    pieces: Sequence[Piece]


async def _process(tools: Toolbox, meter: Meter, source: Source, batch: _Batch) -> int:
    """Embed, seal and store one batch; returns its tokens. Raises QuotaExceededError when it does not fit any more."""
    claimed = source.claimed
    meter.stage = "Embedding"
    with meter.timed("embed"):
        texts = [text_to_embed(batch.title, piece) for piece in batch.pieces]
        metered = await source.tokens.embed(tools.embedder, texts)
    embedded = metered.result
    meter.seconds.embed -= embedded.wait_seconds
    meter.seconds.embed_wait += embedded.wait_seconds
    meter.stage = "Storing"
    chunks = [_chunk(batch.title, piece, size) for piece, size in zip(batch.pieces, embedded.tokens, strict=True)]
    with meter.timed("store"):
        sealed = await asyncio.to_thread(seal_chunks, tools.keys, tools.index, claimed, chunks, embedded.vectors)
        async with tools.connection() as conn:
            await store_batch(conn, claimed, sealed, metered.due)
    return sum(embedded.tokens)


def _chunk(title: str, piece: Piece, tokens: int) -> Chunk:
    return Chunk(
        ordinal=piece.ordinal,
        text=piece.text,
        title=title,
        heading_path=piece.heading_path,
        page=piece.page,
        char_start=piece.start,
        char_end=piece.end,
        tokens=tokens,
        strategy=STRATEGY,
        unit=piece.unit,
    )
