"""Alerts: rules of a release that wants them, over metrics that the operator has."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from dreamhub_operator.isolation.settings import Isolation
from dreamhub_operator.metrics import Metrics
from tests.unit.chart.conftest import Objects
from tests.unit.chart.test_render import env_of

Render = Callable[..., Objects]


def rules_of(objects: Objects) -> list[dict[str, Any]]:
    groups = objects["PrometheusRule", "dreamhub-operator"]["spec"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_rules_are_made_on_demand(render: Render) -> None:
    assert ("PrometheusRule", "dreamhub-operator") not in render()
    rules = {"enabled": True, "labels": {"release": "prometheus"}}
    made = render(metrics={"rules": rules})["PrometheusRule", "dreamhub-operator"]
    assert made["metadata"]["labels"]["release"] == "prometheus"
    assert made["metadata"]["labels"]["app.kubernetes.io/name"] == "dreamhub"


def test_rules_read_metrics_that_exist_and_say_what_is_wrong(render: Render) -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.isolation.show([], datetime.now(UTC))
    exported = generate_latest(registry).decode()
    for rule in rules_of(render(metrics={"rules": {"enabled": True}})):
        for name, labels in re.findall(r"(dreamhub_\w+)(\{[^}]*\})?", rule["expr"]):
            assert f"{name}{labels}" in exported, rule["alert"]
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert set(rule["annotations"]) == {"summary", "description"}


def test_operator_gets_the_settings_of_the_values(render: Render) -> None:
    text = env_of(render(isolation={"interval": "90m"}, apiServer={"service": {"port": 8000}}), "dreamhub-operator")
    found = Isolation.model_validate_json(text["DREAMHUB_ISOLATION"])
    assert (found.enabled, found.interval.total_seconds()) == (True, 5400)
    assert found.api_url == "http://dreamhub-api.dreamhub-system:8000"
    off = env_of(render(isolation={"enabled": False}), "dreamhub-operator")["DREAMHUB_ISOLATION"]
    assert Isolation.model_validate_json(off).enabled is False


def test_operator_may_ask_a_closed_api(render: Render) -> None:
    closed = render(networkPolicies={"apiFrom": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]})
    peers = closed["NetworkPolicy", "dreamhub-api-server"]["spec"]["ingress"][0]["from"]
    components = [peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for peer in peers[:-1]]
    assert components == ["check", "operator"]
