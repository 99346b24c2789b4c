"""What the steps of a run share: opened once at the start, handed down, never global."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from dreamhub.cancelling import cancel_all
from dreamhub.domain.keys import DataKeys
from dreamhub.domain.terms import TermIndex
from dreamhub.errors import TransientError
from dreamhub.llm.embedding import Embedder
from dreamhub.sql.connections import Connection, Pool, translate_failures
from dreamhub_worker.extractor import Extractor
from dreamhub_worker.key_file import KeyFile
from dreamhub_worker.scan import Scanner

T = TypeVar("T")


class StoppingError(TransientError):
    """The pod is being moved: the checkpoint is kept, the next attempt goes on."""

    default_code = "Stopping"


@dataclass
class Stop:
    """Set by SIGTERM. Long waits end at once; a batch that is being stored is finished first."""

    event: asyncio.Event = field(default_factory=asyncio.Event)

    def check(self) -> None:
        if self.event.is_set():
            raise StoppingError("the worker was asked to stop; the job goes on in its next attempt")

    async def guard(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work`, but give it up as soon as the process is asked to stop. Raises StoppingError."""
        task = asyncio.ensure_future(work)
        asked = asyncio.ensure_future(self.event.wait())
        try:
            await asyncio.wait({task, asked}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                self.check()
            return await task
        finally:
            await cancel_all((task, asked))


@dataclass(frozen=True)
class Toolbox:
    pool: Pool
    key_file: KeyFile
    index: TermIndex
    embedder: Embedder
    extractor: Extractor
    stop: Stop
    work_dir: Path
    size_limit: int
    scanner: Scanner | None
    """None: the platform looks for no malware."""

    @property
    def keys(self) -> DataKeys:
        """As they are mounted now: ask just before using them. May raise InvalidInputError."""
        return self.key_file.read()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for repository calls; an absent database reads as UnavailableError."""
        with translate_failures():
            async with self.pool.acquire() as conn:
                yield conn
