"""Prometheus metrics: names get the product's prefix here, and services mount `render` at `/metrics`."""

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from collections.abc import Sequence

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
MILLISECONDS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0)


def render(registry: CollectorRegistry = REGISTRY, accept: str = "") -> tuple[bytes, str]:
    """The exposition and its Content-Type, negotiated by the request's Accept header (OpenMetrics or text)."""
    raise NotImplementedError
