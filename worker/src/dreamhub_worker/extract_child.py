"""The process that parses untrusted files: `python -m dreamhub_worker.extract_child`.

It gets file paths on stdin and answers on stdout, one message each, so that a parser's crash, endless loop or hunger
for memory ends this process and not the worker. Before the first byte of a document is read it is shut in: it can read
the folder of originals and its own libraries, write no file, reach no network and start no program. Its environment is
empty; the worker's credentials, which the same user could read, are out of its reach.
"""

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
from dreamhub_worker.frames import Frame, read_frame, write_frame


def main() -> None:
    memory, cpu_seconds, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    limit_process(memory)
    held = confine([folder])
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # a parser that prints must not garble the protocol
    sys.excepthook = _last_words(answers)
    write_frame(answers, orjson.dumps(sorted(held)))
    serve(requests, answers, cpu_seconds)


def limit_process(memory: int) -> None:
    """Address space, no files, no core dumps."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def serve(requests: BinaryIO, answers: BinaryIO, cpu_seconds: int) -> None:
    """Answer each request with one message."""
    while (frame := read_frame(requests)) is not None:
        _grant_cpu(cpu_seconds)
        write_frame(answers, answer(orjson.loads(frame)))


def answer(request: dict[str, Any]) -> Frame:
    """The extracted document, or the reason against it, as a message."""
    try:
        return orjson.dumps({"ok": extract(Path(request["path"]).read_bytes(), request["type"]).to_wire()})
    except DreamHubError as error:
        return _refusal(error, last=False)


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
        write_frame(answers, _refusal(explain(kind), last=True))

    return hook


def _refusal(error: DreamHubError, *, last: bool) -> Frame:
    return orjson.dumps({"error": {"code": error.code, "message": error.message}, "last": last})


def _grant_cpu(seconds: int) -> None:
    """`seconds` more than used so far: the limit counts the process's life, the budget is one document's."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    spent = int(usage.ru_utime + usage.ru_stime) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (spent + seconds, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main()
