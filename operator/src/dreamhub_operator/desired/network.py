"""A tenant's network: nothing in, and out only what workers need."""

from collections.abc import Iterable

from dreamhub.crd.tenant import Tenant
from dreamhub.crd.tenant_spec import Egress
from dreamhub_operator.desired.job import COMPONENT_LABEL, WORKER_COMPONENT
from dreamhub_operator.desired.ownership import tenant_object
from dreamhub_operator.kinds import NETWORK_POLICY, Manifest
from dreamhub_operator.settings import Dns, EgressRule

_NAMESPACE_NAME = "kubernetes.io/metadata.name"


def build_network_policies(tenant: Tenant, platform: Iterable[EgressRule], dns: Dns) -> list[Manifest]:
    return [_default_deny(tenant), _worker_egress(tenant, platform, dns)]


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
    return {"to": [{"ipBlock": {"cidr": rule.to}}], "ports": _tcp(rule.ports)}


def _tcp(ports: Iterable[int]) -> list[Manifest]:
    return [{"protocol": "TCP", "port": port} for port in ports]
