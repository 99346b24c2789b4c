import pytest
from prometheus_client import CollectorRegistry, Counter

from dreamhub.telemetry import render


@pytest.mark.parametrize(
    ("accept", "kind"),
    [("", "text/plain"), ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text")],
)
def test_exposition_is_negotiated(accept: str, kind: str) -> None:
    registry = CollectorRegistry()
    Counter("dreamhub_things", "Things.", registry=registry).inc(2)
    body, content_type = render(registry, accept)
    assert content_type.startswith(kind)
    assert b"dreamhub_things_total 2.0" in body
