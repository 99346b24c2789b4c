"""The network agent around its rules: what it remembers, whom it lets wait, what it tells CNI."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from hack.cluster.network.agent.gate import GateError, answer, keep_claims, read_claims
from hack.cluster.network.agent.model import Node, Pod, parse_node, parse_pod
from hack.cluster.network.agent.node import cni_configuration, plan_routes
from hack.cluster.network.agent.store import Claim, Store

ARGUMENTS = "IgnoreUnknown=1;K8S_POD_NAMESPACE=one;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=c1;K8S_POD_UID=u1"
RESULT = {"cniVersion": "0.4.0", "ips": [{"version": "4", "address": "10.0.0.2/24"}]}
CONFIGURATION = {"cniVersion": "0.4.0", "type": "dreamhub-gate", "prevResult": RESULT}


def pod(uid: str = "u1", address: str | None = None, phase: str = "Pending") -> Pod:
    found = parse_pod(
        {
            "metadata": {"namespace": "one", "name": "web", "uid": uid},
            "spec": {"nodeName": "here", "containers": []},
            "status": {"phase": phase, "podIPs": [{"ip": address}] if address else []},
        }
    )
    if found is None:
        raise ValueError("not a pod of the pod network")
    return found


def filled_store(*pods: Pod) -> Store:
    store = Store()
    for kind in store.kinds:
        store.replace_all(kind, {})
    for each in pods:
        store.put("pods", f"{each.namespace}/{each.name}", each)
    return store


def apply_once(store: Store, seen: list[Any]) -> threading.Thread:
    """Plays the loop that applies: takes one snapshot and reports it as in force."""

    def run() -> None:
        snapshot = store.next_snapshot(0)
        seen.append(snapshot)
        store.mark_applied(snapshot.revision)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_pod_is_admitted_once_its_address_is_in_force() -> None:
    store, seen = filled_store(pod()), list[Any]()
    store.mark_applied(store.revision)
    thread = apply_once(store, seen)
    result = answer(store, "ADD", "c1", ARGUMENTS, CONFIGURATION)
    thread.join()
    assert result == RESULT
    assert seen[0].pods[0].addresses == ("10.0.0.2",)


def test_a_pod_is_refused_while_its_rules_cannot_be_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hack.cluster.network.agent.gate._WAIT_SECONDS", 0.01)
    with pytest.raises(GateError, match="not in force"):
        answer(filled_store(pod()), "ADD", "c1", ARGUMENTS, CONFIGURATION)


def test_an_older_pod_of_the_same_name_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hack.cluster.network.agent.gate._WAIT_SECONDS", 0.01)
    with pytest.raises(GateError, match="did not tell of pod one/web"):
        answer(filled_store(pod(uid="u0")), "ADD", "c1", ARGUMENTS, CONFIGURATION)


def test_a_pod_that_leaves_gives_its_address_back_and_waits_for_nobody() -> None:
    store = filled_store(pod())
    store.claim("c1", Claim("one", "web", "u1", ("10.0.0.2",)))
    assert answer(store, "DEL", "c1", ARGUMENTS, {}) == {}
    assert store.next_snapshot(0).pods[0].addresses == ()


def test_a_claim_of_an_older_pod_of_the_same_name_is_not_the_new_ones() -> None:
    store = filled_store(pod(uid="u2"))
    store.claim("c1", Claim("one", "web", "u1", ("10.0.0.2",)))
    assert store.next_snapshot(0).pods[0].addresses == ()


def test_cni_knows_better_than_the_api_server_whose_an_address_is() -> None:
    store = filled_store(pod(address="10.0.0.2", phase="Running"))
    store.claim("c2", Claim("one", "next", "u9", ("10.0.0.2",)))
    assert store.next_snapshot(0).pods[0].addresses == ()


def test_claims_outlive_the_agent(tmp_path: Path) -> None:
    path, claims = tmp_path / "claims.json", {"c1": Claim("one", "web", "u1", ("10.0.0.2",))}
    assert read_claims(path) == {}
    keep_claims(path, claims)
    assert read_claims(path) == claims
    path.write_text("[1]")
    assert read_claims(path) == {}


def test_version_needs_no_cluster() -> None:
    assert "0.4.0" in answer(Store(), "VERSION", "", "", {})["supportedVersions"]


def test_an_address_known_twice_is_one_address() -> None:
    store = filled_store(pod(address="10.0.0.2", phase="Running"))
    store.claim("c1", Claim("one", "web", "u1", ("10.0.0.2",)))
    assert store.next_snapshot(0).pods[0].addresses == ("10.0.0.2",)


def test_a_finished_pod_has_no_address_even_before_cni_takes_it_back() -> None:
    store = filled_store(pod(phase="Succeeded", address="10.0.0.2"))
    store.claim("c1", Claim("one", "web", "u1", ("10.0.0.2",)))
    assert store.next_snapshot(0).pods[0].addresses == ()


def test_unchanged_objects_wake_nobody() -> None:
    store = filled_store(pod())
    before = store.revision
    store.put("pods", "one/web", pod())
    store.put("pods", "one/absent", None)
    assert store.revision == before


def test_nothing_is_applied_before_everything_was_listed() -> None:
    store = Store()
    store.replace_all("pods", {})
    seen: list[Any] = []
    thread = apply_once(store, seen)
    thread.join(0.05)
    assert seen == []
    for kind in store.kinds:
        store.replace_all(kind, {})
    thread.join()
    assert len(seen) == 1


def test_routes_lead_to_the_other_nodes() -> None:
    nodes = [Node("here", "172.17.0.2", "10.244.0.0/24"), Node("there", "172.17.0.3", "10.244.1.0/24")]
    assert plan_routes(nodes, "here") == {"10.244.1.0/24": "172.17.0.3"}


def test_a_node_without_its_share_of_the_pod_network_is_not_ready_to_route_to() -> None:
    item = {
        "metadata": {"name": "n"},
        "spec": {},
        "status": {"addresses": [{"type": "InternalIP", "address": "1.1.1.1"}]},
    }
    assert parse_node(item) is None
    assert parse_node(item | {"spec": {"podCIDR": "10.0.0.0/24"}}) == Node("n", "1.1.1.1", "10.0.0.0/24")


def test_the_gate_is_the_last_plugin() -> None:
    """Behind the one that gives the address, so that it sees it."""
    plugins = json.loads(cni_configuration("10.244.0.0/24"))["plugins"]
    assert [plugin["type"] for plugin in plugins] == ["ptp", "portmap", "dreamhub-gate"]
