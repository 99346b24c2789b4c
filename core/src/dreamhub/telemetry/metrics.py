"""Prometheus metrics: shared bucket bounds, and the exposition that services mount at `/metrics`.

Metrics carry the prefix `dreamhub_`. A tenant is a label only on the operator's endpoint; no label carries content.
"""

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import choose_encoder

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds of buckets for durations, from a query to a large document."""

MILLISECONDS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0)
"""Upper bounds for `dreamhub_search_latency_ms`."""


def render(registry: CollectorRegistry = REGISTRY, accept: str = "") -> tuple[bytes, str]:
    """The exposition and its Content-Type, negotiated by the request's Accept header (OpenMetrics or text)."""
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type
