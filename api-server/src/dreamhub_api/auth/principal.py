"""From a proven identity to what it may do here. Pure: the tenants come from the watch cache, the caller's clock."""

from dataclasses import dataclass, field
from typing import Literal

from dreamhub import names
from dreamhub.crd.tenant import Tenant
from dreamhub.errors import ForbiddenError, UnavailableError
from dreamhub_client.tenants import Scope

ALL_SCOPES: frozenset[Scope] = frozenset({"read", "write", "approve"})
ORDINARY: frozenset[Scope] = frozenset({"read", "write"})
APPROVER: frozenset[Scope] = frozenset({"approve"})
READ_ONLY: frozenset[Scope] = frozenset({"read"})

SCOPE_PREFIX = "dreamhub."
"""In an OIDC token's scope claim: `dreamhub.read`, `dreamhub.write`, `dreamhub.approve`."""


@dataclass(frozen=True)
class Identity:
    """What a verified token says."""

    kind: Literal["oidc", "service-account"]
    subject: str
    tenant: str
    scopes: frozenset[Scope]
    expires_at: float
    """Unix time."""


@dataclass(frozen=True)
class Principal:
    """A caller of a tenant that exists. Everything a request may touch follows from `tenant`."""

    tenant: str
    subject: str
    scopes: frozenset[Scope]
    expires_at: float
    token: str = field(default="", repr=False, compare=False)
    """What they came with: long connections verify it again and again. Never logged or stored as it is."""


def admit(identity: Identity, tenant: Tenant | None) -> Principal:
    """Let an identity in when its tenant is one of ours. `tenant` is the resource of that name, if there is one."""
    if tenant is None or not names.is_tenant_name(identity.tenant):
        raise ForbiddenError(
            f"the token belongs to tenant {identity.tenant!r}, which does not exist here", code="UnknownTenant"
        )
    if tenant.metadata.deletion_timestamp is not None:
        raise ForbiddenError(f"tenant {identity.tenant} is being deleted", code="TenantDeleting")
    if tenant.status.phase == "Orphaned":
        raise UnavailableError(
            f"what bears the name {identity.tenant} is another Tenant's; the status of this one says how to go on",
            code="TenantNotReady",
        )
    namespace = tenant.status.namespace
    if namespace is None or not namespace.uid:
        raise UnavailableError(f"tenant {identity.tenant} is still being set up; try again", code="TenantNotReady")
    if namespace.name != names.namespace(identity.tenant):
        raise ForbiddenError(
            f"the token belongs to tenant {identity.tenant!r}, which does not exist here", code="UnknownTenant"
        )
    scopes = identity.scopes | APPROVER if _may_approve(identity, tenant) else identity.scopes
    return Principal(identity.tenant, identity.subject, scopes, identity.expires_at)


def _may_approve(identity: Identity, tenant: Tenant) -> bool:
    """Whether the Tenant names this service account among its approvers."""
    return identity.kind == "service-account" and any(
        approver.kind == "ServiceAccount"
        and identity.subject == f"system:serviceaccount:{approver.namespace}:{approver.name}"
        for approver in tenant.spec.approval.approvers
    )


def require(principal: Principal, scope: Scope) -> None:
    if scope not in principal.scopes:
        raise ForbiddenError(
            f"this call needs the scope {scope}; the token has {', '.join(sorted(principal.scopes)) or 'none'}",
            code="MissingScope",
        )


def service_account_scopes(account: str) -> frozenset[Scope]:
    """`owner` may read and write; a worker has no business here; any other account of the namespace may read.

    Who may approve is the Tenant's to say: whoever orders work does not approve its cost.
    """
    if account == names.OWNER_SERVICE_ACCOUNT:
        return ORDINARY
    if account == names.WORKER_SERVICE_ACCOUNT:
        raise ForbiddenError("a worker's service account may not use the API", code="WorkerToken")
    return READ_ONLY


def oidc_scopes(claim: object) -> frozenset[Scope]:
    """Our scopes in a scope claim, which is a list or a space-separated text.

    A claim that names none of ours (many issuers cannot add any) may read and write: the tenant claim alone was the
    issuer's decision to let the caller in. To approve has to be said.
    """
    granted = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else []
    ours = {str(item).removeprefix(SCOPE_PREFIX) for item in granted if str(item).startswith(SCOPE_PREFIX)}
    return frozenset(scope for scope in ALL_SCOPES if scope in ours) if ours else ORDINARY
