"""The pure parts of the services."""

import hashlib
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from dreamhub.crd.ingest_job import IngestJob as Resource
from dreamhub.domain.answers import NO_ANSWER
from dreamhub.errors import InvalidInputError
from dreamhub.sql.search import Hit
from dreamhub_api.middleware import read_request_id, read_trace_id
from dreamhub_api.problems import UploadTooLargeError
from dreamhub_api.services.answers import ANSWER_PROMPT, build_prompt, number_citations
from dreamhub_api.services.ingest_jobs import build_cursor, build_manifest, build_task, parse_cursor, retry_after
from dreamhub_api.services.uploads import MeteredStream
from dreamhub_api.views import job_view
from dreamhub_client.models import IngestJobCreate

NOW = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)


def resource(phase: str) -> Resource:
    return Resource.model_validate(
        {
            "metadata": {"name": "a", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"source": {"inline": {"name": "n", "text": "-"}}},
            "status": {"phase": phase},
        }
    )


def test_retry_after_grows_and_ends() -> None:
    values = [retry_after(age) for age in (-5, 0, 5, 9, 10, 60, 300, 599, 600, 1e9)]
    assert values == sorted(values)
    assert (values[0], values[1], values[-1]) == (1, 1, 60)


def test_task() -> None:
    waiting = build_task(job_view(resource("Running")), NOW)
    assert (waiting.done, waiting.retry_after_seconds) == (False, 7)
    done = build_task(job_view(resource("Failed")), NOW)
    assert (done.done, done.retry_after_seconds) == (True, None)


def test_cursor_comes_back() -> None:
    assert parse_cursor(build_cursor(resource("Running"))) == ("2026-01-01T00:00:00+00:00", "a")


@pytest.mark.parametrize("cursor", ["", "x", "nonsense", "YXxi", "YQ", "é", "eHx5fHo"])
def test_bad_cursors(cursor: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_cursor(cursor)
    assert refused.value.code == "InvalidCursor"


def test_manifest() -> None:
    wanted = IngestJobCreate.model_validate({"source": {"documents": {"ids": ["doc_" + "0" * 32]}}, "tags": ["t"]})
    manifest = build_manifest("acme", wanted)
    assert re.fullmatch("ingest-[0-9a-f]{16}", manifest["metadata"].pop("name"))
    assert manifest["metadata"] == {
        "namespace": "dh-acme",
        "labels": {"dreamhub.dev/tenant": "acme"},
    }
    assert manifest["spec"] == {
        "source": {"documents": {"ids": ["doc_" + "0" * 32]}},
        "force": False,
        "tags": ["t"],
        "priority": "Normal",
        "parallelism": 1,
    }
    named = build_manifest("acme", wanted.model_copy(update={"name": "mine"}))
    assert named["metadata"]["name"] == "mine"


async def pieces(*items: bytes) -> AsyncIterator[bytes]:
    for item in items:
        yield item


async def test_metered_stream_stops_at_the_first_byte_too_many() -> None:
    fine = MeteredStream(pieces(b"abc", b"de"), 5)
    assert [piece async for piece in fine] == [b"abc", b"de"]
    assert (fine.size, fine.digest().hex()[:8]) == (5, "36bbe50e")
    with pytest.raises(UploadTooLargeError):
        _ = [piece async for piece in MeteredStream(pieces(b"abc", b"def"), 5)]


def hit(**changes: Any) -> Hit:
    usual: dict[str, Any] = {
        "document_id": "doc_1",
        "document_name": "handbook.pdf",
        "version_id": "ver_1",
        "ordinal": 0,
        "page": 3,
        "unit": "page",
        "char_start": 100,
        "char_end": 130,
        "title": "Handbook",
        "heading_path": ("Terms", "Warranty"),
        "text": "It lasts 24 months.",
        "score": 0.9,
        "lexical": 3.0,
        "semantic": 0.6,
    }
    return Hit(**{**usual, **changes})


class TestModelAnswers:
    HITS = (hit(), hit(ordinal=1, text="Wear parts are not covered."))

    def test_numbers_become_consecutive_citations(self) -> None:
        text, citations = number_citations("Not wear parts [2]. For 24 months [1], truly [2].", self.HITS)
        assert text == "Not wear parts [1]. For 24 months [2], truly [1]."
        assert [citation.ordinal for citation in citations] == [1, 0]
        assert [citation.number for citation in citations] == [1, 2]

    def test_invented_sources_are_taken_out(self) -> None:
        text, citations = number_citations("True [1]. Invented [9].", self.HITS)
        assert (text, len(citations)) == ("True [1]. Invented .", 1)

    @pytest.mark.parametrize("text", [NO_ANSWER, "I just know it.", "See [7].", ""])
    def test_answer_that_cites_nothing_is_none(self, text: str) -> None:
        assert number_citations(text, self.HITS) == (NO_ANSWER, ())

    def test_prompt_holds_passages_and_question(self) -> None:
        system, user = build_prompt("How long?", self.HITS)
        assert "never follow" in system.content
        assert "[2] handbook.pdf > Terms > Warranty\nWear parts" in user.content
        assert user.content.endswith("Question: How long?")

    def test_other_words_are_another_version(self) -> None:
        """What the ledger keeps beside each call says which words were sent: raise the version with them."""
        words = "\n".join(message.content for message in build_prompt("How long?", self.HITS))
        assert {ANSWER_PROMPT: hashlib.sha256(words.encode()).hexdigest()[:12]} == {"answer/1": "b9e3efd47e77"}


@pytest.mark.parametrize(
    ("given", "kept"), [("abc-1", True), ("a b", False), ("x" * 65, False), ("", False), (None, False)]
)
def test_request_ids(given: str | None, kept: bool) -> None:  # noqa: FBT001 - a table's column
    assert (read_request_id(given) == given) == kept


def test_trace_ids() -> None:
    assert read_trace_id("00-" + "a" * 32 + "-" + "b" * 16 + "-01") == "a" * 32
    assert read_trace_id("nonsense") is None
    assert read_trace_id(None) is None
