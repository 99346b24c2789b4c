"""NetworkPolicies hold on the local cluster: the walls between tenants are only as real as the network's.

The same tests run against kind's own pod network and against the one of machines without a registry.
"""

from collections.abc import Iterator

import pytest

from hack.cluster.kind import read_record
from hack.cluster.settings import read_settings
from tests.e2e.network.pods import Namespace, client, policy, server, service, until

CLIENTS_ONLY = {"from": [{"podSelector": {"matchLabels": {"name": "client"}}}]}


@pytest.fixture(scope="module", autouse=True)
def _pods(here: Namespace, elsewhere: Namespace) -> None:
    here.start(server("server", here.image), client("client", here.image), client("other", here.image))
    here.apply(service("server", {"name": "server"}))
    elsewhere.start(client("client", elsewhere.image))


@pytest.fixture(autouse=True)
def _open_again(here: Namespace) -> Iterator[None]:
    """Each test begins and ends without a policy."""
    yield
    here.kubectl("delete", "networkpolicy", "--all")
    address = here.address("server")
    if not (here.opens("other", address) and here.opens("other", address, 9000)):
        pytest.fail("the network stays closed after its policies are gone")


@pytest.fixture(scope="module")
def address(here: Namespace) -> str:
    return here.address("server")


def test_without_a_policy_everyone_gets_through(here: Namespace, elsewhere: Namespace, address: str) -> None:
    assert here.opens("client", address)
    assert elsewhere.opens("client", address)
    assert here.opens("client", f"server.{here.name}.svc.cluster.local", 80)


def test_nobody_answers_for_a_pod_that_is_gone(here: Namespace) -> None:
    here.start(server("gone", here.image))
    address = here.address("gone")
    assert here.opens("client", address)
    here.kubectl("delete", "pod", "gone")
    assert here.closes("client", address)


def test_default_deny_keeps_pods_out_and_lets_the_node_probe(
    here: Namespace, elsewhere: Namespace, address: str
) -> None:
    here.apply(policy("deny", policyTypes=["Ingress"]))
    assert here.closes("client", address)
    assert not elsewhere.connects("client", address)
    assert not here.connects("client", "server", 80)
    here.start(server("probed", here.image))  # Ready only if the node's probe arrives


def test_peers_by_label(here: Namespace, elsewhere: Namespace, address: str) -> None:
    here.apply(policy("clients", policyTypes=["Ingress"], ingress=[CLIENTS_ONLY]))
    assert here.closes("other", address)
    assert here.opens("client", address)
    assert not elsewhere.connects("client", address)


def test_peers_by_namespace(here: Namespace, elsewhere: Namespace, address: str) -> None:
    neighbours = {"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": elsewhere.name}}}]}
    here.apply(policy("neighbours", policyTypes=["Ingress"], ingress=[neighbours]))
    assert here.closes("client", address)
    assert elsewhere.opens("client", address)


def test_a_named_port(here: Namespace, address: str) -> None:
    here.apply(policy("http", policyTypes=["Ingress"], ingress=[{"ports": [{"port": "http"}]}]))
    assert here.closes("client", address, 9000)
    assert here.opens("client", address, 8000)


def test_a_range_of_ports(here: Namespace, address: str) -> None:
    here.apply(policy("range", policyTypes=["Ingress"], ingress=[{"ports": [{"port": 8999, "endPort": 9001}]}]))
    assert here.closes("client", address, 8000)
    assert here.opens("client", address, 9000)


def test_a_block_but_for_one_address(here: Namespace, address: str) -> None:
    block = {"cidr": "0.0.0.0/0", "except": [f"{here.address('other')}/32"]}
    here.apply(policy("block", policyTypes=["Ingress"], ingress=[{"from": [{"ipBlock": block}]}]))
    assert here.closes("other", address)
    assert here.opens("client", address)


def test_egress_is_cut_but_for_names_and_one_service(here: Namespace, elsewhere: Namespace, address: str) -> None:
    """What a tenant's worker gets: DNS, one peer behind a service, nothing else."""
    names = {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
    peer = {"to": [{"podSelector": {"matchLabels": {"name": "server"}}}], "ports": [{"port": "http"}]}
    clients = {"matchLabels": {"name": "client"}}
    here.apply(policy("egress", podSelector=clients, policyTypes=["Egress"], egress=[names, peer]))
    assert here.closes("client", address, 9000)
    assert here.opens("client", f"server.{here.name}.svc.cluster.local", 80)
    assert here.opens("other", address, 9000)
    elsewhere.start(server("server", elsewhere.image))
    assert not here.connects("client", elsewhere.address("server"))


def test_a_new_peer_is_let_in_when_it_has_its_address(here: Namespace, address: str) -> None:
    guests = {"from": [{"podSelector": {"matchLabels": {"role": "guest"}}}]}
    here.apply(policy("guests", policyTypes=["Ingress"], ingress=[guests]))
    assert here.closes("client", address)
    here.start(client("guest", here.image, role="guest"))
    assert here.opens("guest", address)


def test_a_changed_label_changes_who_gets_in(here: Namespace, address: str) -> None:
    here.apply(policy("guests", policyTypes=["Ingress"], ingress=[CLIENTS_ONLY]))
    assert here.closes("other", address)
    here.kubectl("label", "pod", "other", "name=client", "--overwrite")
    assert here.opens("other", address)
    here.kubectl("label", "pod", "other", "name=other", "--overwrite")
    assert here.closes("other", address)


def test_a_pod_is_never_open_before_its_policies_are_in_force(here: Namespace, address: str) -> None:
    record = read_record(read_settings().record)
    if record is None or not record.own_network:
        pytest.skip("kind's own pod network makes no such promise")
    here.apply(policy("sealed", podSelector={"matchLabels": {"role": "sealed"}}, policyTypes=["Egress"]))
    assert until(lambda: here.kubectl("get", "networkpolicy", "sealed").returncode == 0, seconds=60)
    attempts = f"""
import socket
for _ in range(20):
    try:
        socket.create_connection(("{address}", 8000), timeout=0.05)
        print("open")
    except TimeoutError:
        print("closed")
"""
    here.apply(*(client(f"sealed-{number}", here.image, attempts, role="sealed") for number in range(5)))
    for number in range(5):
        name = f"pod/sealed-{number}"
        assert here.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", name, "--timeout=60s").returncode == 0
        assert here.kubectl("logs", name).stdout.split() == ["closed"] * 20
