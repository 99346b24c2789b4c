"""Structured logs: one JSON object a line, with the service and the trace id of the work at hand.

Logs carry ids, counts, reasons and durations. They never carry content: no text, no file name, no question; therefore
tracebacks come without local variables.
"""

import logging
import secrets
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TextIO

import structlog
import structlog.tracebacks

_trace_id: ContextVar[str | None] = ContextVar("dreamhub_trace_id", default=None)

_NOISY = ("httpx", "httpcore", "asyncio")
"""Libraries whose INFO lines tell of every request."""


def configure_logging(service: str, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send structlog and the standard library's loggers to stdout as JSON. Call once, in `__main__`.

    `stream` replaces stdout (the CLI's `--json`, tests). Raises ValueError for an unknown level.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        _Origin(service),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False)),
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), *shared],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ],
    )
    handler = logging.StreamHandler(sys.stdout if stream is None else stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


class _Origin:
    """Adds who logs, and on whose behalf."""

    def __init__(self, service: str) -> None:
        self._service = service

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = self._service
        trace_id = _trace_id.get()
        if trace_id is not None:
            event.setdefault("trace_id", trace_id)
        return event


def new_trace_id() -> str:
    """32 hex digits, as in W3C trace context."""
    return secrets.token_hex(16)


def current_trace_id() -> str | None:
    return _trace_id.get()


@contextmanager
def trace(trace_id: str | None = None) -> Iterator[str]:
    """Give all log lines inside this id (a new one when None); nests and follows tasks, being a contextvar."""
    chosen = new_trace_id() if trace_id is None else trace_id
    token = _trace_id.set(chosen)
    try:
        yield chosen
    finally:
        _trace_id.reset(token)
