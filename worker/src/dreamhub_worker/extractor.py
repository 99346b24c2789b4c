"""The extraction process as the worker sees it: started early, kept warm, killed in time, replaced when it dies."""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any, Self

import orjson
import structlog

from dreamhub.domain.media_types import MediaType
from dreamhub.errors import BugError, DreamHubError, InvalidInputError, UnavailableError
from dreamhub_worker.allowance import ExtractionLimits
from dreamhub_worker.confine import ALL
from dreamhub_worker.extract.extracted import Extracted
from dreamhub_worker.frames import receive_frame, send_frame

_START_SECONDS = 30
_CHILD = "dreamhub_worker.extract_child"

log = structlog.get_logger()


class Extractor:
    """One child process at a time. Not for concurrent use: documents go one after another.

    The child can read what lies below `folder` (the one for temporary files unless told otherwise) and no other file.
    """

    def __init__(self, limits: ExtractionLimits | None = None, folder: Path | None = None) -> None:
        self._limits = limits or ExtractionLimits()
        self._folder = folder or Path(tempfile.gettempdir())
        self._warned = False
        self._child: Process | None = None
        self._greeted = False

    async def __aenter__(self) -> Self:
        self._child, self._greeted = await self._start(), False
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    async def extract(self, path: Path, media_type: MediaType) -> Extracted:
        """Raises InvalidInputError with the reason; a dead child counts as the document's fault, and is replaced."""
        allowed = self._limits.allow((await asyncio.to_thread(path.stat)).st_size)
        request = {"path": str(path), "type": media_type, "cpu": allowed.cpu_seconds, "memory": allowed.memory_bytes}
        child = await self._ready_child()
        try:
            async with asyncio.timeout(allowed.wall_seconds):
                answer = await self._ask(child, request)
        except TimeoutError as error:
            await self._stop()
            raise _timeout_error() from error
        except (asyncio.IncompleteReadError, ConnectionError, ValueError) as error:
            raise death_reason(await self._stop()) from error
        except asyncio.CancelledError:
            await self._stop()
            raise
        return await self._read(orjson.loads(answer))

    async def _read(self, answer: dict[str, Any]) -> Extracted:
        if answer["last"]:  # the child's state, or its size, is not fit for another document
            await self._stop()
        if "ok" in answer:
            return Extracted.from_wire(answer["ok"])
        error = answer["error"]
        raise InvalidInputError(error["message"], code=error["code"])

    async def _ready_child(self) -> Process:
        """A child that has greeted: how long it takes to start is no document's fault."""
        if self._child is None or self._child.returncode is not None:
            self._child, self._greeted = await self._start(), False
        if not self._greeted and self._child.stdout is not None:
            try:
                async with asyncio.timeout(_START_SECONDS):
                    greeting = await receive_frame(self._child.stdout, self._limits.answer_bytes)
            except (TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
                await self._stop()
                raise UnavailableError("the extraction process does not start", code="ExtractorUnavailable") from error
            self._greeted = True
            self._judge(frozenset(orjson.loads(greeting)))
        return self._child

    def _judge(self, held: frozenset[str]) -> None:
        """Say once what the kernel or the container runtime does not give: the documents are read all the same."""
        if held != ALL and not self._warned:
            self._warned = True
            log.warning("extraction_not_confined", missing=sorted(ALL - held))

    async def _ask(self, child: Process, request: dict[str, Any]) -> bytes:
        if child.stdin is None or child.stdout is None:
            raise BugError("the extraction process was started without pipes")
        await send_frame(child.stdin, orjson.dumps(request))
        return await receive_frame(child.stdout, self._limits.answer_bytes)

    async def _start(self) -> Process:
        own = (str(self._limits.memory_bytes), str(self._folder))
        arguments = ("-P", "-m", _CHILD, *own)
        return await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stdin=PIPE, stdout=PIPE, env=_child_environment(), start_new_session=True
        )

    async def _stop(self) -> int:
        """Kill the child if it lives; returns its exit status (negative: the signal)."""
        child, self._child = self._child, None
        if child is None:
            return 0
        if child.stdin is not None:
            child.stdin.close()
        if child.returncode is None:
            with contextlib.suppress(TimeoutError):  # a crash is being reported: let it say how it died
                async with asyncio.timeout(0.2):
                    await child.wait()
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
        return await child.wait()


def death_reason(status: int) -> DreamHubError:
    """Why the child ended without an answer, from its exit status."""
    if status == -signal.SIGXCPU:
        return _timeout_error()
    if status == -signal.SIGKILL:
        return InvalidInputError(
            "the document needs more memory to read than is allowed; split it", code="ExtractionOutOfMemory"
        )
    how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    return InvalidInputError(
        f"the parser crashed on the document ({how}); check that it opens elsewhere", code="ParserCrashed"
    )


def _timeout_error() -> DreamHubError:
    return InvalidInputError("reading the document took longer than is allowed; split it", code="ExtractionTimeout")


def _child_environment() -> dict[str, str]:
    """Nothing of ours: where libraries are, and how many threads they may start."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | {"PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
