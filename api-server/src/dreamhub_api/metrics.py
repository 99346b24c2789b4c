"""What the server counts. No label names a tenant: this endpoint is read by whoever runs the platform's monitoring."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

from dreamhub.telemetry.metrics import MILLISECONDS, SECONDS


@dataclass(frozen=True)
class Metrics:
    registry: CollectorRegistry
    requests: Histogram
    search_latency: Histogram
    ws_connections: Gauge
    ws_closed: Counter
    uploaded_bytes: Counter
    watch_age: Gauge


def build_metrics() -> Metrics:
    """A registry of its own, so that two servers in one process (tests) do not collide."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return Metrics(
        registry=registry,
        requests=Histogram(
            "dreamhub_http_request_seconds",
            "Time to answer, by route template and status",
            ("method", "route", "status"),
            buckets=SECONDS,
            registry=registry,
        ),
        search_latency=Histogram(
            "search_latency_ms", "Milliseconds from question to ranked hits", buckets=MILLISECONDS, registry=registry
        ),
        ws_connections=Gauge("dreamhub_ws_connections", "Open WebSocket connections", registry=registry),
        ws_closed=Counter(
            "dreamhub_ws_closed_total", "WebSocket connections closed, by reason", ("reason",), registry=registry
        ),
        watch_age=Gauge(
            "dreamhub_watch_age_seconds", "Since the cluster was last heard of, by kind", ("kind",), registry=registry
        ),
        uploaded_bytes=Counter("dreamhub_uploaded_bytes_total", "Bytes of documents accepted", registry=registry),
    )
