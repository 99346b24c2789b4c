"""The parts of Kubernetes objects that decide who may talk to whom."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_address, ip_network
from typing import Any


@dataclass(frozen=True, slots=True)
class ContainerPort:
    name: str
    protocol: str
    number: int


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod with an address of its own; `addresses` is empty before it has one and after it has ended."""

    namespace: str
    name: str
    uid: str
    node: str
    labels: Mapping[str, str]
    addresses: tuple[str, ...]
    ports: tuple[ContainerPort, ...]
    finished: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """An ipBlock peer."""

    network: IPv4Network
    exceptions: tuple[IPv4Network, ...]


@dataclass(frozen=True, slots=True)
class PodPeer:
    """Pods by labels; without a namespace selector those of the policy's own namespace."""

    pods: Mapping[str, Any]
    namespaces: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class PortMatch:
    """`first` is a number, a name, or None for every port of the protocol; `last` ends a range of numbers."""

    protocol: str
    first: int | str | None
    last: int | None


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of ingress or egress; None means everyone, or every port of every protocol."""

    peers: tuple[PodPeer | Block, ...] | None
    ports: tuple[PortMatch, ...] | None


@dataclass(frozen=True, slots=True)
class Policy:
    """A NetworkPolicy; a direction that is None is not restricted by it."""

    namespace: str
    name: str
    pods: Mapping[str, Any]
    ingress: tuple[Rule, ...] | None
    egress: tuple[Rule, ...] | None


@dataclass(frozen=True, slots=True)
class Node:
    """Where a node's pods are: its address and its part of the pod network."""

    name: str
    address: str
    pod_network: str


def parse_pod(item: Mapping[str, Any]) -> Pod | None:
    """A v1 Pod; None for pods in the node's network namespace."""
    spec, status, metadata = item["spec"], item.get("status", {}), item["metadata"]
    if spec.get("hostNetwork"):
        return None
    finished = status.get("phase") in {"Succeeded", "Failed"}
    containers = [*spec.get("containers", []), *spec.get("initContainers", [])]
    return Pod(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        node=spec.get("nodeName", ""),
        labels=metadata.get("labels") or {},
        addresses=() if finished else _ipv4(entry["ip"] for entry in status.get("podIPs") or []),
        ports=tuple(_container_port(port) for container in containers for port in container.get("ports") or []),
        finished=finished,
    )


def parse_namespace(item: Mapping[str, Any]) -> Mapping[str, str]:
    """A v1 Namespace: only its labels count."""
    labels: Mapping[str, str] = item["metadata"].get("labels") or {}
    return labels


def parse_node(item: Mapping[str, Any]) -> Node | None:
    """A v1 Node; None before it has an address and a share of the pod network."""
    addresses = [entry["address"] for entry in item["status"].get("addresses", []) if entry["type"] == "InternalIP"]
    pod_network = item["spec"].get("podCIDR")
    return Node(item["metadata"]["name"], addresses[0], pod_network) if addresses and pod_network else None


def parse_policy(item: Mapping[str, Any]) -> Policy:
    """A networking.k8s.io/v1 NetworkPolicy."""
    spec, metadata = item["spec"], item["metadata"]
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    return Policy(
        namespace=metadata["namespace"],
        name=metadata["name"],
        pods=spec.get("podSelector") or {},
        ingress=_rules(spec.get("ingress"), "from") if "Ingress" in types else None,
        egress=_rules(spec.get("egress"), "to") if "Egress" in types else None,
    )


def _rules(items: list[Mapping[str, Any]] | None, peers: str) -> tuple[Rule, ...]:
    return tuple(
        Rule(
            peers=tuple(peer for entry in item[peers] if (peer := _peer(entry)) is not None)
            if item.get(peers)
            else None,
            ports=tuple(_port_match(entry) for entry in item["ports"]) if item.get("ports") else None,
        )
        for item in items or []
    )


def _peer(item: Mapping[str, Any]) -> PodPeer | Block | None:
    block = item.get("ipBlock")
    if block is None:
        return PodPeer(pods=item.get("podSelector") or {}, namespaces=item.get("namespaceSelector"))
    network = ip_network(block["cidr"], strict=False)
    if not isinstance(network, IPv4Network):
        return None
    exceptions = [ip_network(text, strict=False) for text in block.get("except") or []]
    return Block(network, tuple(entry for entry in exceptions if isinstance(entry, IPv4Network)))


def _port_match(item: Mapping[str, Any]) -> PortMatch:
    return PortMatch(protocol=item.get("protocol", "TCP").lower(), first=item.get("port"), last=item.get("endPort"))


def _container_port(item: Mapping[str, Any]) -> ContainerPort:
    return ContainerPort(item.get("name", ""), item.get("protocol", "TCP").lower(), item["containerPort"])


def _ipv4(texts: Any) -> tuple[str, ...]:
    return tuple(text for text in texts if ip_address(text).version == 4)
