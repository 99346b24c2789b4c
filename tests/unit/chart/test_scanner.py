"""The malware scanner in the chart: off by default, then a pod that nobody but tenants' workers reaches."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from dreamhub_operator.settings import EgressRule, MalwareScanner
from tests.unit.chart.conftest import Objects

Render = Callable[..., Objects]
ON = {"enabled": True}


def operator_env(objects: Objects) -> dict[str, str]:
    container = objects["Deployment", "dreamhub-operator"]["spec"]["template"]["spec"]["containers"][0]
    return {entry["name"]: entry.get("value", "") for entry in container["env"]}


def scanner_rules(objects: Objects) -> list[EgressRule]:
    rules = [EgressRule.model_validate(rule) for rule in json.loads(operator_env(objects)["DREAMHUB_EGRESS"])]
    return [rule for rule in rules if 3310 in rule.ports]


def test_it_is_off_by_default(render: Render) -> None:
    objects = render()
    assert "DREAMHUB_SCANNER" not in operator_env(objects)
    assert scanner_rules(objects) == []
    assert not [name for _, name in objects if "scanner" in name]


def test_workers_are_told_where_it_is_and_may_go_there(render: Render) -> None:
    objects = render(scanner={**ON, "limitBytes": 5_000_000})
    told = MalwareScanner.model_validate_json(operator_env(objects)["DREAMHUB_SCANNER"])
    assert told == MalwareScanner(address="dreamhub-scanner.dreamhub-system.svc:3310", limit_bytes=5_000_000)
    [rule] = scanner_rules(objects)
    labels = objects["StatefulSet", "dreamhub-scanner"]["spec"]["template"]["metadata"]["labels"]
    assert (rule.pod_selector or {}).items() <= labels.items()
    assert objects["Service", "dreamhub-scanner"]["spec"]["ports"][0]["port"] == 3310
    [clamd] = [
        container
        for container in objects["StatefulSet", "dreamhub-scanner"]["spec"]["template"]["spec"]["containers"]
        if container["name"] == "clamd"
    ]
    assert clamd["env"] == [{"name": "DREAMHUB_SCANNER_LIMIT_BYTES", "value": "5000000"}]


def test_only_tenants_reach_it_and_only_updates_let_it_out(render: Render) -> None:
    def policy(**embedded: Any) -> dict[str, Any]:
        spec = render(scanner={**ON, "embedded": embedded})["NetworkPolicy", "dreamhub-scanner"]["spec"]
        assert isinstance(spec, dict)
        return spec

    tenants = [{"namespaceSelector": {"matchExpressions": [{"key": "dreamhub.dev/tenant", "operator": "Exists"}]}}]
    [entry] = policy()["ingress"]
    assert entry == {"ports": [{"port": 3310, "protocol": "TCP"}], "from": tenants}
    dns, mirror = policy()["egress"]
    assert mirror["to"] == [{"ipBlock": {"cidr": "0.0.0.0/0"}}]
    assert dns["to"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}]
    alone = policy(updates={"enabled": False}, signatures={"configMap": "own"})
    assert alone["policyTypes"] == ["Ingress", "Egress"]
    assert alone["egress"] == []


def test_without_any_signatures_it_is_refused(render: Render) -> None:
    with pytest.raises(ValueError, match=r"scanner\.embedded: turn updates\.enabled on"):
        render(scanner={**ON, "embedded": {"updates": {"enabled": False}}})


def test_one_of_your_own_takes_its_place(render: Render) -> None:
    network = {"cidr": "10.9.0.0/16", "ports": [3310]}
    external = {"address": "clamd.example.com:3310", "egress": [network]}
    objects = render(scanner={**ON, "embedded": {"enabled": False}, "external": external})
    assert "clamd.example.com:3310" in operator_env(objects)["DREAMHUB_SCANNER"]
    assert [str(rule.cidr) for rule in scanner_rules(objects)] == ["10.9.0.0/16"]
    assert ("StatefulSet", "dreamhub-scanner") not in objects


def test_one_of_your_own_needs_its_address(render: Render) -> None:
    with pytest.raises(ValueError, match=r"scanner\.external\.address: say where workers find clamd"):
        render(scanner={**ON, "embedded": {"enabled": False}})
