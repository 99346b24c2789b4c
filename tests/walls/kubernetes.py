"""Walls in Kubernetes: admission policies on a real API server, and the network on the local cluster."""

from tests.walls.removals import LeaveOut, OpenNetwork, SourceEdit, Wall

_ADMISSION = "tests/integration/isolation/test_admission_walls.py::test_policy_refuses"
_NETWORK = "tests/e2e/test_network_walls.py::"
_DESIRED = "tests/unit/operator/test_desired.py"

POLICIES = (
    "dreamhub-tenant-roles",
    "dreamhub-operator-confined",
    "dreamhub-tenant-workloads",
    "dreamhub-tenant-objects",
    "dreamhub-tenant-namespaces",
    "dreamhub-tenant-requests",
    "dreamhub-approvals",
    "dreamhub-canary",
)

WALLS = (
    *(Wall(f"admission: {policy}", (LeaveOut(policy),), (f"{_ADMISSION}[{policy}]",)) for policy in POLICIES),
    Wall(
        "network: the operator closes both directions",
        (
            SourceEdit(
                "dreamhub_operator.desired.network",
                '"spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},',
                '"spec": {"podSelector": {}, "policyTypes": ["Ingress"]},',
            ),
        ),
        (_DESIRED,),
    ),
    Wall("network: ingress", (OpenNetwork("Ingress"),), (f"{_NETWORK}test_nobody_gets_into_a_tenants_pod",)),
    Wall("network: egress", (OpenNetwork("Egress"),), (f"{_NETWORK}test_a_tenants_pod_gets_out_to_nobody",)),
)
