"""The process that parses untrusted files: `python -m dreamhub_worker.extract_child`.

It gets file paths on stdin and answers on stdout, one message each, so that a parser's crash, endless loop or hunger
for memory ends this process and not the worker. Before the first byte of a document is read it is shut in: it can read
the folder of originals and its own libraries, write no file, reach no network and start no program. Its environment is
empty; the worker's credentials, which the same user could read, are out of its reach.
"""

import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import orjson

from dreamhub.errors import DreamHubError, InvalidInputError
from dreamhub_worker.confine import confine
from dreamhub_worker.extract.dispatch import extract
from dreamhub_worker.frames import read_frame, write_frame

_TOO_LARGE = 320 * 2**20
"""Address space above which the process is replaced: what a large document left would be missing for the next one."""


def main() -> None:
    memory, folder = int(sys.argv[1]), Path(sys.argv[2])
    limit_process(memory)
    own_size = measure_size()
    held = confine([folder])
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # a parser that prints must not garble the protocol
    sys.excepthook = _last_words(answers)
    write_frame(answers, orjson.dumps(sorted(held)))
    serve(requests, answers, own_size)


def limit_process(memory: int) -> None:
    """Address space, no files, no core dumps."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def measure_size() -> Callable[[], int]:
    """A function that tells this process's address space in bytes. To be made before it is shut in."""
    file, page = os.open("/proc/self/statm", os.O_RDONLY), resource.getpagesize()
    return lambda: int(os.pread(file, 64, 0).split()[0]) * page


def serve(requests: BinaryIO, answers: BinaryIO, own_size: Callable[[], int]) -> None:
    """Answer each request with one message."""
    while (frame := read_frame(requests)) is not None:
        request = orjson.loads(frame)
        _grant(request["cpu"], request["memory"])
        told = answer(request)
        write_frame(answers, orjson.dumps(told | {"last": own_size() > _TOO_LARGE}))


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The extracted document, or the reason against it."""
    try:
        return {"ok": extract(Path(request["path"]).read_bytes(), request["type"]).to_wire()}
    except DreamHubError as error:
        return _refusal(error)


def explain(kind: type[BaseException]) -> DreamHubError:
    """The reason for an exception that a parser let out; its own message may quote the document and is dropped."""
    if issubclass(kind, MemoryError):
        return InvalidInputError(
            "the document needs more memory to read than is allowed; split it", code="ExtractionOutOfMemory"
        )
    if issubclass(kind, RecursionError):
        return InvalidInputError("the document is nested too deeply; simplify it", code="ExtractionTooDeep")
    return InvalidInputError(
        f"the document cannot be read ({kind.__name__}); check that it opens elsewhere", code="ParserFailed"
    )


def _last_words(answers: BinaryIO) -> Callable[[type[BaseException], BaseException, TracebackType | None], None]:
    """The hook for what nobody caught: answer, then let the process end, for its state is not to be trusted."""

    def hook(kind: type[BaseException], _error: BaseException, _trace: TracebackType | None) -> None:
        write_frame(answers, orjson.dumps(_refusal(explain(kind)) | {"last": True}))

    return hook


def _refusal(error: DreamHubError) -> dict[str, Any]:
    return {"error": {"code": error.code, "message": error.message}}


def _grant(seconds: int, memory: int) -> None:
    """`seconds` more than used so far: the limit counts the process's life, the budget is one document's."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    spent = int(usage.ru_utime + usage.ru_stime) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (spent + seconds, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_AS, (memory, resource.getrlimit(resource.RLIMIT_AS)[1]))


if __name__ == "__main__":
    main()
