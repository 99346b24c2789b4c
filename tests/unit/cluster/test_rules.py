"""The pod network's packet filter, case by case: what a NetworkPolicy says against what the node lets through."""

from typing import Any

import pytest

from hack.cluster.network.agent.model import Pod, parse_pod, parse_policy
from hack.cluster.network.agent.rules import ruleset
from tests.unit.cluster.tables import allowances

NAMESPACES = {
    "one": {"kubernetes.io/metadata.name": "one", "team": "a"},
    "two": {"kubernetes.io/metadata.name": "two", "team": "b"},
}


def pod(name: str, address: str, *, namespace: str = "one", node: str = "here", **more: Any) -> Pod:
    """A pod labelled app=<name> that listens on http (8080) and dns (5353 by UDP)."""
    ports = [{"name": "http", "containerPort": 8080}, {"name": "dns", "containerPort": 5353, "protocol": "UDP"}]
    found = parse_pod(
        {
            "metadata": {"namespace": namespace, "name": name, "uid": f"{namespace}-{name}", "labels": {"app": name}},
            "spec": {"nodeName": node, "containers": [{"ports": more.get("ports", ports)}], **more.get("spec", {})},
            "status": {"phase": more.get("phase", "Running"), "podIPs": [{"ip": address}]},
        }
    )
    if found is None:
        raise ValueError("a host-network pod has no address of its own")
    return found


WEB, CLIENT, DATABASE = pod("web", "10.0.0.2"), pod("client", "10.0.0.3"), pod("db", "10.0.0.4", node="there")
FOREIGN = pod("web", "10.0.0.5", namespace="two", ports=[{"name": "http", "containerPort": 9999}])
PODS = (WEB, CLIENT, DATABASE, FOREIGN)


def allowed(spec: dict[str, Any], direction: str = "ingress", address: str = "10.0.0.2") -> list[str] | None:
    """What one policy of namespace `one` lets through for an address of node `here`."""
    policy = parse_policy({"metadata": {"namespace": "one", "name": "policy"}, "spec": spec})
    return allowances(ruleset([policy], PODS, NAMESPACES, "here"), address, direction)


def ingress(*rules: dict[str, Any], app: str = "web") -> dict[str, Any]:
    return {"podSelector": {"matchLabels": {"app": app}}, "policyTypes": ["Ingress"], "ingress": list(rules)}


def egress(*rules: dict[str, Any], app: str = "web") -> dict[str, Any]:
    return {"podSelector": {"matchLabels": {"app": app}}, "policyTypes": ["Egress"], "egress": list(rules)}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        pytest.param([], [], id="no rule: default deny"),
        pytest.param([{}], [""], id="an empty rule lets everything in"),
        pytest.param([{"from": []}], [""], id="an empty list of peers means everyone"),
        pytest.param(
            [{"from": [{"podSelector": {"matchLabels": {"app": "client"}}}]}],
            ["ip saddr { 10.0.0.3 }"],
            id="pods of the own namespace by label",
        ),
        pytest.param(
            [{"from": [{"podSelector": {}}]}],
            ["ip saddr { 10.0.0.2, 10.0.0.3, 10.0.0.4 }"],
            id="all pods of the own namespace, also on other nodes, none of others",
        ),
        pytest.param(
            [{"from": [{"namespaceSelector": {"matchLabels": {"team": "b"}}}]}],
            ["ip saddr { 10.0.0.5 }"],
            id="all pods of namespaces by label",
        ),
        pytest.param(
            [{"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "web"}}}]}],
            ["ip saddr { 10.0.0.2, 10.0.0.5 }"],
            id="both selectors in one peer: both must hold",
        ),
        pytest.param(
            [{"from": [{"namespaceSelector": {"matchLabels": {"team": "b"}}}, {"podSelector": {}}]}],
            ["ip saddr { 10.0.0.2, 10.0.0.3, 10.0.0.4, 10.0.0.5 }"],
            id="two peers: either is enough",
        ),
        pytest.param(
            [{"from": [{"podSelector": {"matchLabels": {"app": "nobody"}}}]}], [], id="a selector that finds nobody"
        ),
        pytest.param(
            [{"from": [{"ipBlock": {"cidr": "192.168.0.0/16", "except": ["192.168.1.0/24", "192.168.1.128/25"]}}]}],
            ["ip saddr 192.168.0.0/16 ip saddr != { 192.168.1.0/24 }"],
            id="a block but for parts of it",
        ),
        pytest.param([{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}], [""], id="every address"),
        pytest.param(
            [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}]}],
            ["ip saddr != { 10.0.0.0/8 }"],
            id="every address but for a block",
        ),
        pytest.param([{"from": [{"ipBlock": {"cidr": "fd00::/8"}}]}], [], id="IPv6 blocks do not open IPv4"),
    ],
)
def test_who_may_come_in(rules: list[dict[str, Any]], expected: list[str]) -> None:
    assert allowed(ingress(*rules)) == expected


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        pytest.param([], [""], id="an empty list of ports means all"),
        pytest.param([{"port": 80}], ["tcp dport { 80 }"], id="TCP is the default"),
        pytest.param(
            [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
            ["tcp dport { 53 }", "udp dport { 53 }"],
            id="protocols apart",
        ),
        pytest.param(
            [{"port": 8000, "endPort": 8010}, {"port": 8005, "endPort": 8020}, {"port": 8021}, {"port": 9000}],
            ["tcp dport { 8000-8021, 9000 }"],
            id="ranges that overlap or touch are joined",
        ),
        pytest.param([{"protocol": "UDP"}], ["meta l4proto udp"], id="a protocol as a whole"),
        pytest.param([{"port": "http"}], ["tcp dport { 8080 }"], id="a name of the pod's own port"),
        pytest.param([{"port": "dns"}], [], id="a name of another protocol's port"),
        pytest.param([{"port": "dns", "protocol": "UDP"}], ["udp dport { 5353 }"], id="a name with its protocol"),
        pytest.param([{"port": "absent"}], [], id="a name that the pod does not have"),
    ],
)
def test_which_ports_are_open(ports: list[dict[str, Any]], expected: list[str]) -> None:
    assert allowed(ingress({"ports": ports})) == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        pytest.param({}, [""], id="everything"),
        pytest.param(
            {"to": [{"podSelector": {"matchLabels": {"app": "db"}}}], "ports": [{"port": 5432}]},
            ["ip daddr { 10.0.0.4 } tcp dport { 5432 }"],
            id="one peer and one port",
        ),
        pytest.param(
            {
                "to": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "web"}}}],
                "ports": [{"port": "http"}],
            },
            ["ip daddr . tcp dport { 10.0.0.2 . 8080, 10.0.0.5 . 9999 }"],
            id="a port's name is another number in each pod",
        ),
        pytest.param(
            {"to": [{"ipBlock": {"cidr": "10.0.0.4/30"}}], "ports": [{"port": "http"}]},
            ["ip daddr . tcp dport { 10.0.0.4 . 8080, 10.0.0.5 . 9999 }"],
            id="a port's name for the pods within a block",
        ),
        pytest.param(
            {"to": [{"ipBlock": {"cidr": "10.0.0.4/30", "except": ["10.0.0.5/32"]}}], "ports": [{"port": "http"}]},
            ["ip daddr . tcp dport { 10.0.0.4 . 8080 }"],
            id="a port's name but for the exception",
        ),
        pytest.param(
            {"ports": [{"port": "dns", "protocol": "UDP"}]},
            ["ip daddr . udp dport { 10.0.0.2 . 5353, 10.0.0.3 . 5353, 10.0.0.4 . 5353 }"],
            id="a port's name anywhere",
        ),
    ],
)
def test_where_a_pod_may_go(rule: dict[str, Any], expected: list[str]) -> None:
    assert allowed(egress(rule), "egress") == expected


@pytest.mark.parametrize(
    ("spec", "isolated"),
    [
        ({"podSelector": {}}, {"ingress"}),
        ({"podSelector": {}, "egress": [{}]}, {"ingress", "egress"}),
        ({"podSelector": {}, "policyTypes": ["Egress"]}, {"egress"}),
        ({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}, {"ingress", "egress"}),
    ],
)
def test_directions_that_a_policy_restricts(spec: dict[str, Any], isolated: set[str]) -> None:
    directions = {direction for direction in ("ingress", "egress") if allowed(spec, direction) is not None}
    assert directions == isolated


def test_policies_add_up() -> None:
    first = {"metadata": {"namespace": "one", "name": "a"}, "spec": ingress({"ports": [{"port": 80}]})}
    second = {"metadata": {"namespace": "one", "name": "b"}, "spec": ingress({"ports": [{"port": 443}]})}
    script = ruleset([parse_policy(first), parse_policy(second)], PODS, NAMESPACES, "here")
    assert allowances(script, "10.0.0.2", "ingress") == ["tcp dport { 443 }", "tcp dport { 80 }"]


def test_only_selected_pods_of_the_own_namespace_are_isolated() -> None:
    isolated = [each.addresses[0] for each in PODS if allowed(ingress(), address=each.addresses[0]) is not None]
    assert isolated == ["10.0.0.2"]


def test_a_node_filters_its_own_pods_only() -> None:
    policy = parse_policy({"metadata": {"namespace": "one", "name": "all"}, "spec": {"podSelector": {}}})
    script = ruleset([policy], PODS, NAMESPACES, "there")
    assert allowances(script, "10.0.0.4", "ingress") == []
    assert allowances(script, "10.0.0.2", "ingress") is None


def test_pods_that_ended_are_no_peers() -> None:
    """Their addresses may belong to somebody else by now."""
    ended = pod("client", "10.0.0.9", phase="Succeeded")
    policy = parse_policy(
        {"metadata": {"namespace": "one", "name": "p"}, "spec": ingress({"from": [{"podSelector": {}}]})}
    )
    script = ruleset([policy], [WEB, ended], NAMESPACES, "here")
    assert allowances(script, "10.0.0.2", "ingress") == ["ip saddr { 10.0.0.2 }"]


def test_an_address_told_of_two_pods_does_not_break_the_table() -> None:
    """The API server may still tell of a pod that has left when its address is given to the next."""
    policy = parse_policy({"metadata": {"namespace": "one", "name": "p"}, "spec": ingress()})
    others = parse_policy({"metadata": {"namespace": "one", "name": "q"}, "spec": ingress({}, app="client")})
    script = ruleset([policy, others], [WEB, pod("client", "10.0.0.2")], NAMESPACES, "here")
    assert script.count("10.0.0.2 : jump") == 1


def test_pods_with_equal_rules_share_one_chain() -> None:
    policy = parse_policy({"metadata": {"namespace": "one", "name": "all"}, "spec": {"podSelector": {}}})
    assert ruleset([policy], PODS, NAMESPACES, "here").count("chain pod_") == 1


def test_replies_and_talking_to_oneself_are_never_dropped() -> None:
    script = ruleset(
        [parse_policy({"metadata": {"namespace": "one", "name": "all"}, "spec": {"podSelector": {}}})],
        PODS,
        NAMESPACES,
        "here",
    )
    forward = script[script.index("chain forward") :]
    assert forward.index("ct state established,related accept") < forward.index("@itself") < forward.index("@egress")
    assert "10.0.0.2 . 10.0.0.2, 10.0.0.3 . 10.0.0.3" in script


def test_no_policy_filters_nothing() -> None:
    script = ruleset([], PODS, NAMESPACES, "here")
    assert "jump" not in script
    assert "drop" not in script


def test_host_network_pods_have_no_address_of_their_own() -> None:
    with pytest.raises(ValueError, match="host-network"):
        pod("agent", "172.17.0.2", spec={"hostNetwork": True})
