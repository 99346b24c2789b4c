"""The protocol of the extraction process, and what its death means."""

import io
import signal

import pytest

from dreamhub_worker.extract_child import answer, explain
from dreamhub_worker.extractor import death_reason
from dreamhub_worker.frames import read_frame, write_frame


def test_frames_follow_each_other() -> None:
    stream = io.BytesIO()
    for frame in (b"one", b"", b"\n" * 3):
        write_frame(stream, frame)
    stream.seek(0)
    assert [read_frame(stream) for _ in range(4)] == [b"one", b"", b"\n\n\n", None]


def test_a_document_comes_back_with_its_outline(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("original") / "original"
    path.write_bytes(b"# Title\n\n## Part\n\ntext")
    wire = answer({"path": str(path), "type": "text/markdown"})["ok"]
    assert wire["title"] == "Title"
    assert wire["sections"] == [[("Part",), 17, 22]]


def test_a_reason_comes_back(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("original") / "original"
    path.write_bytes(b"caf\xe8")
    told = answer({"path": str(path), "type": "text/plain"})
    assert told["error"]["code"] == "InvalidEncoding"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (MemoryError, "ExtractionOutOfMemory"),
        (RecursionError, "ExtractionTooDeep"),
        (ZeroDivisionError, "ParserFailed"),
    ],
)
def test_what_a_parser_lets_out_is_told_by_its_class(kind: type[BaseException], code: str) -> None:
    assert explain(kind).code == code


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (-signal.SIGXCPU, "ExtractionTimeout"),
        (-signal.SIGKILL, "ExtractionOutOfMemory"),
        (-signal.SIGSEGV, "ParserCrashed"),
        (-signal.SIGABRT, "ParserCrashed"),
        (3, "ParserCrashed"),
    ],
)
def test_why_a_child_died(status: int, code: str) -> None:
    assert death_reason(status).code == code
