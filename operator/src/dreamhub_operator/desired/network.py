"""A tenant's network: nothing in, and out only what workers need."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network

from dreamhub.crd.tenant import Tenant
from dreamhub.crd.tenant_spec import Egress
from dreamhub_operator.desired.job import COMPONENT_LABEL, WORKER_COMPONENT
from dreamhub_operator.desired.ownership import tenant_object
from dreamhub_operator.desired.source import EGRESS_LABEL, INTERNET
from dreamhub_operator.kinds import NETWORK_POLICY, Manifest
from dreamhub_operator.settings import Dns, EgressRule, PrivateNetwork

_LINK_LOCAL = (ip_network("169.254.0.0/16"), ip_network("fe80::/10"))
"""Never open to a tenant: clouds give out their machines' credentials there."""

_INTERNET = {
    "0.0.0.0/0": (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "224.0.0.0/3",
    ),
    "2000::/3": ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
}
"""Address ranges with what in them is not the public internet, or leads back from it. A worker's own guard, which knows
more of each address, refuses the same: neither relies on the other."""

_SOURCE_PORTS = (80, 143, 443, 993)

_NAMESPACE_NAME = "kubernetes.io/metadata.name"


def build_network_policies(
    tenant: Tenant, platform: Iterable[EgressRule], dns: Dns, private: Iterable[PrivateNetwork] = ()
) -> list[Manifest]:
    return [_default_deny(tenant), _worker_egress(tenant, platform, dns), _source_egress(tenant, private)]


def _default_deny(tenant: Tenant) -> Manifest:
    return {
        **tenant_object(NETWORK_POLICY, "default-deny", tenant.metadata.name, tenant.metadata.uid),
        "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
    }


def _worker_egress(tenant: Tenant, platform: Iterable[EgressRule], dns: Dns) -> Manifest:
    rules = [_dns_rule(dns), *map(_platform_rule, platform), *map(_tenant_rule, tenant.spec.network.egress)]
    return {
        **tenant_object(NETWORK_POLICY, "worker-egress", tenant.metadata.name, tenant.metadata.uid),
        "spec": {
            "podSelector": {"matchLabels": {COMPONENT_LABEL: WORKER_COMPONENT}},
            "policyTypes": ["Egress"],
            "egress": rules,
        },
    }


def _source_egress(tenant: Tenant, private: Iterable[PrivateNetwork]) -> Manifest:
    """Out to the public internet for pods that read a source there, on the ports of HTTP and IMAP."""
    rules = [
        {"to": [{"ipBlock": {"cidr": cidr, "except": list(closed)}}], "ports": _tcp(_SOURCE_PORTS)}
        for cidr, closed in _INTERNET.items()
    ]
    opened = [{"to": [{"ipBlock": {"cidr": str(rule.cidr)}}], "ports": _tcp(rule.ports)} for rule in private]
    labels = {COMPONENT_LABEL: WORKER_COMPONENT, EGRESS_LABEL: INTERNET}
    return {
        **tenant_object(NETWORK_POLICY, "source-egress", tenant.metadata.name, tenant.metadata.uid),
        "spec": {
            "podSelector": {"matchLabels": labels},
            "policyTypes": ["Egress"],
            "egress": [*rules, *opened],
        },
    }


def _dns_rule(dns: Dns) -> Manifest:
    return {
        "to": [{"namespaceSelector": {"matchLabels": {_NAMESPACE_NAME: dns.namespace}}}],
        "ports": [{"protocol": protocol, "port": dns.port} for protocol in ("UDP", "TCP")],
    }


def _platform_rule(rule: EgressRule) -> Manifest:
    if rule.cidr is not None:
        peer: Manifest = {"ipBlock": {"cidr": str(rule.cidr)}}
    else:
        peer = {
            "namespaceSelector": {"matchLabels": {_NAMESPACE_NAME: rule.namespace}},
            "podSelector": {"matchLabels": rule.pod_selector or {}},
        }
    return {"to": [peer], "ports": _tcp(rule.ports)}


def _tenant_rule(rule: Egress) -> Manifest:
    block: Manifest = {"cidr": rule.to}
    closed = [str(range_) for range_ in _LINK_LOCAL if _covers(rule.to, range_)]
    if closed:
        block["except"] = closed
    return {"to": [{"ipBlock": block}], "ports": _tcp(rule.ports)}


def _covers(wide: str, narrow: IPv4Network | IPv6Network) -> bool:
    network = ip_network(wide, strict=False)
    return narrow.network_address in network and narrow.broadcast_address in network


def _tcp(ports: Iterable[int]) -> list[Manifest]:
    return [{"protocol": "TCP", "port": port} for port in ports]
