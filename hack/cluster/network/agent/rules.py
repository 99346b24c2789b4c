"""NetworkPolicies into one nftables table: a pure function, so that a table of cases can prove it.

Each pod of the node that a policy selects gets, for each direction, a chain: a line that returns for each thing that
is allowed, then `drop`. Pods with equal lines share a chain. The hooks look a packet's source up in the map `egress`
and its destination in the map `ingress`. They see addresses after service addresses were translated and before
masquerading, so policies meet the real pods on both ends. Pods of one node reach each other by routing, so that this
traffic is seen as well.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import collapse_addresses, ip_address
from typing import Literal

from .model import Block, Pod, PodPeer, Policy, PortMatch, Rule
from .selectors import matches

TABLE = "dreamhub_policy"
Direction = Literal["ingress", "egress"]
Namespaces = Mapping[str, Mapping[str, str]]


def ruleset(policies: Sequence[Policy], pods: Sequence[Pod], namespaces: Namespaces, node: str) -> str:
    """The `nft -f` script that replaces the table of `node`; `namespaces` maps names to labels, `pods` are all pods."""
    book = _Book(pods, namespaces)
    members: dict[Direction, dict[str, str]] = {"ingress": {}, "egress": {}}
    for pod in sorted(pods, key=lambda each: (each.namespace, each.name, each.uid)):
        if pod.node != node or not pod.addresses:
            continue
        for direction in ("ingress", "egress"):
            chain = _chain_of(pod, direction, policies, book)
            if chain:
                for address in pod.addresses:
                    members[direction].setdefault(address, chain)  # nft refuses an address that stands there twice
    return _render(book, members)


@dataclass
class _Book:
    """What the cases share: peers looked up once, equal sets and chains written once."""

    pods: Sequence[Pod]
    namespaces: Namespaces
    sets: dict[tuple[str, ...], str] = field(default_factory=dict)
    chains: dict[tuple[str, ...], str] = field(default_factory=dict)

    def set_name(self, addresses: Iterable[str]) -> str:
        return self.sets.setdefault(tuple(_sorted(addresses)), f"peers_{len(self.sets)}")

    def chain_name(self, lines: Iterable[str]) -> str:
        return self.chains.setdefault(tuple(lines), f"pod_{len(self.chains)}")

    def find_pods(self, peer: PodPeer, namespace: str) -> list[Pod]:
        return [pod for pod in self.pods if self._is_peer(pod, peer, namespace)]

    def _is_peer(self, pod: Pod, peer: PodPeer, namespace: str) -> bool:
        if peer.namespaces is None:
            inside = pod.namespace == namespace
        else:
            inside = pod.namespace in self.namespaces and matches(peer.namespaces, self.namespaces[pod.namespace])
        return inside and matches(peer.pods, pod.labels)


def _chain_of(pod: Pod, direction: Direction, policies: Sequence[Policy], book: _Book) -> str | None:
    """Name of the pod's chain, or None when no policy isolates it in this direction."""
    selecting = [
        (policy, rules)
        for policy in policies
        if policy.namespace == pod.namespace
        and (rules := policy.ingress if direction == "ingress" else policy.egress) is not None
        and matches(policy.pods, pod.labels)
    ]
    if not selecting:
        return None
    lines = {
        line for policy, rules in selecting for rule in rules for line in _lines(rule, pod, direction, policy, book)
    }
    return book.chain_name(sorted(lines))


def _lines(rule: Rule, pod: Pod, direction: Direction, policy: Policy, book: _Book) -> list[str]:
    """What one rule allows, one nft expression a line; an empty expression allows everything."""
    lines: list[str] = []
    for where in _peer_expressions(rule, direction, policy, book):
        lines += [f"{where} {what}".strip() for what in _port_expressions(rule, pod, direction)]
    if direction == "egress":
        lines += _named_egress(rule, policy, book)
    return lines


def _peer_expressions(rule: Rule, direction: Direction, policy: Policy, book: _Book) -> list[str]:
    if rule.peers is None:
        return [""]
    field_name = "ip saddr" if direction == "ingress" else "ip daddr"
    expressions = [_block_expression(field_name, peer) for peer in rule.peers if isinstance(peer, Block)]
    addresses = {
        address
        for peer in rule.peers
        if isinstance(peer, PodPeer)
        for pod in book.find_pods(peer, policy.namespace)
        for address in pod.addresses
    }
    if addresses:
        expressions.append(f"{field_name} @{book.set_name(addresses)}")
    return expressions


def _block_expression(field_name: str, block: Block) -> str:
    parts = [] if block.network.prefixlen == 0 else [f"{field_name} {block.network}"]
    if block.exceptions:
        parts.append(f"{field_name} != {{ {', '.join(str(net) for net in collapse_addresses(block.exceptions))} }}")
    return " ".join(parts)


def _port_expressions(rule: Rule, pod: Pod, direction: Direction) -> list[str]:
    """Matches on the destination port; for ingress, names are those of the pod's own containers."""
    if rule.ports is None:
        return [""]
    whole = sorted({port.protocol for port in rule.ports if port.first is None})
    expressions = [f"meta l4proto {protocol}" for protocol in whole]
    for protocol in sorted({port.protocol for port in rule.ports} - set(whole)):
        ranges = [(port.first, port.last or port.first) for port in rule.ports if _is_numeric(port, protocol)]
        if direction == "ingress":
            names = {port.first for port in rule.ports if port.protocol == protocol and isinstance(port.first, str)}
            ranges += [(own.number, own.number) for own in pod.ports if own.protocol == protocol and own.name in names]
        merged = _merge([(int(first), int(last)) for first, last in ranges if first is not None and last is not None])
        if merged:
            expressions.append(f"{protocol} dport {{ {', '.join(merged)} }}")
    return expressions


def _is_numeric(port: PortMatch, protocol: str) -> bool:
    return port.protocol == protocol and isinstance(port.first, int)


def _named_egress(rule: Rule, policy: Policy, book: _Book) -> list[str]:
    """Egress to a port's name: it stands for another number in each pod, so address and port are matched together."""
    lines: list[str] = []
    for wanted in rule.ports or ():
        if not isinstance(wanted.first, str):
            continue
        pairs = {
            f"{address} . {port.number}"
            for pod in _egress_pods(rule, policy, book)
            for port in pod.ports
            if port.name == wanted.first and port.protocol == wanted.protocol
            for address in pod.addresses
        }
        if pairs:
            lines.append(f"ip daddr . {wanted.protocol} dport {{ {', '.join(sorted(pairs))} }}")
    return lines


def _egress_pods(rule: Rule, policy: Policy, book: _Book) -> list[Pod]:
    if rule.peers is None:
        return list(book.pods)
    found: list[Pod] = []
    for peer in rule.peers:
        if isinstance(peer, PodPeer):
            found += book.find_pods(peer, policy.namespace)
        else:
            found += [pod for pod in book.pods if any(_contains(peer, address) for address in pod.addresses)]
    return found


def _contains(block: Block, address: str) -> bool:
    parsed = ip_address(address)
    return parsed in block.network and not any(parsed in exception for exception in block.exceptions)


def _merge(ranges: Iterable[tuple[int, int]]) -> list[str]:
    """Port ranges without overlaps, which nft refuses in a set."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return [str(first) if first == last else f"{first}-{last}" for first, last in merged]


def _render(book: _Book, members: Mapping[Direction, Mapping[str, str]]) -> str:
    own = [f"{address} . {address}" for address in _sorted({*members["ingress"], *members["egress"]})]
    lines = [f"table ip {TABLE}", f"delete table ip {TABLE}", f"table ip {TABLE} {{"]
    for addresses, name in book.sets.items():
        lines += _block(f"set {name}", "type ipv4_addr", _elements(addresses))
    lines += _block("set itself", "type ipv4_addr . ipv4_addr", _elements(own))
    for allowed, name in book.chains.items():
        lines += _block(f"chain {name}", *(f"{line} return".strip() for line in allowed), "drop")
    for direction, chains in members.items():
        entries = [f"{address} : jump {chain}" for address, chain in chains.items()]
        lines += _block(f"map {direction}", "type ipv4_addr : verdict", _elements(entries))
    known = ("ct state established,related accept", "ip saddr . ip daddr @itself accept")
    leave, enter = "ip saddr vmap @egress", "ip daddr vmap @ingress"
    lines += _block(
        "chain forward", "type filter hook forward priority filter + 10; policy accept;", *known, leave, enter
    )
    lines += _block("chain input", "type filter hook input priority filter + 10; policy accept;", *known, leave)
    return "\n".join([*lines, "}", ""])


def _block(title: str, *content: str) -> list[str]:
    return [f"  {title} {{", *(f"    {line}" for line in content if line), "  }"]


def _elements(entries: Sequence[str]) -> str:
    return f"elements = {{ {', '.join(entries)} }}" if entries else ""


def _sorted(addresses: Iterable[str]) -> list[str]:
    return sorted(addresses, key=lambda text: int(ip_address(text)))
