"""Logs and metrics, the same in every service."""

from dreamhub.telemetry.logs import configure_logging, current_trace_id, new_trace_id, trace
from dreamhub.telemetry.metrics import render

__all__ = ["configure_logging", "current_trace_id", "new_trace_id", "render", "trace"]
