"""Structured logs: one JSON object a line, with the service and the trace id of the work at hand.

Logs carry ids, counts, reasons and durations. They never carry content: no text, no file name, no question.
"""

from collections.abc import Iterator
from contextlib import contextmanager


def configure_logging(service: str, level: str = "INFO") -> None:
    """Send structlog and the standard library's loggers to stdout as JSON. Call once, in `__main__`."""
    raise NotImplementedError


def new_trace_id() -> str:
    """32 hex digits, as in W3C trace context."""
    raise NotImplementedError


def current_trace_id() -> str | None:
    raise NotImplementedError


@contextmanager
def trace(trace_id: str | None = None) -> Iterator[str]:
    """Give all log lines inside this id (a new one when None); nests and follows tasks, being a contextvar."""
    raise NotImplementedError
    yield
