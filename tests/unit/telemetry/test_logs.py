import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from dreamhub.telemetry import configure_logging, current_trace_id, new_trace_id, trace


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """Global state is put back: other tests log too."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging("worker", "info", stream)
    yield stream
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_structlog_and_standard_loggers_write_one_shape(out: io.StringIO) -> None:
    structlog.get_logger("a").info("document stored", chunks=3)
    logging.getLogger("b").warning("took %d tries", 2)
    first, second = lines(out)
    assert (first["event"], first["chunks"], first["level"], first["service"]) == (
        "document stored",
        3,
        "info",
        "worker",
    )
    assert (second["event"], second["level"], second["logger"]) == ("took 2 tries", "warning", "b")
    assert first["timestamp"].endswith("Z")


def test_level_is_obeyed(out: io.StringIO) -> None:
    structlog.get_logger("a").debug("quiet")
    logging.getLogger("b").debug("quiet")
    logging.getLogger("httpx").info("each request")
    assert lines(out) == []
    with pytest.raises(ValueError, match="LOUD"):
        configure_logging("worker", "loud")


def test_exceptions_are_structured_and_show_no_local(out: io.StringIO) -> None:
    def fail(content: str) -> None:
        raise LookupError(len(content))

    for log in (structlog.get_logger("a"), logging.getLogger("b")):
        try:
            fail("a tenant's words")
        except LookupError:
            log.exception("failed")
    for entry in lines(out):
        assert entry["exception"][0]["exc_type"] == "LookupError"
        assert entry["exception"][0]["frames"][-1]["name"] == "fail"
    assert "a tenant's words" not in out.getvalue()


async def test_trace_id_follows_tasks_and_nests(out: io.StringIO) -> None:
    log = structlog.get_logger("a")

    async def work(name: str) -> None:
        with trace(name * 32):
            await asyncio.sleep(0)
            log.info("working")

    with trace() as outer:
        assert current_trace_id() == outer
        await asyncio.gather(work("a"), work("b"))
        log.info("outer")
    log.info("none")
    found = [entry.get("trace_id") for entry in lines(out)]
    assert found == ["a" * 32, "b" * 32, outer, None]


def test_trace_ids_have_the_shape_of_w3c() -> None:
    assert len(new_trace_id()) == 32
    assert int(new_trace_id(), 16) >= 0
    assert new_trace_id() != new_trace_id()
