"""What is known of a Tenant before it is planned: from memory at almost no cost, or by live reads."""

import random
import time
from dataclasses import dataclass, field

from dreamhub.crd.tenant import Tenant
from dreamhub.domain.key_ring import KeyRing
from dreamhub.errors import BugError, InvalidInputError
from dreamhub.names import CREDENTIALS_SECRET
from dreamhub_operator.cluster import ObjectKey, key_of
from dreamhub_operator.context import Context
from dreamhub_operator.desired.credentials import begin_credentials, make_passwords, read_credentials
from dreamhub_operator.desired.namespace import (
    build_approver_binding,
    build_operator_binding,
    build_owner_binding,
    build_service_accounts,
)
from dreamhub_operator.desired.network import build_network_policies
from dreamhub_operator.desired.ownership import owner_selector
from dreamhub_operator.desired.quota import build_limits, build_quota
from dreamhub_operator.kinds import SECRET, TENANT_CHILDREN, Manifest
from dreamhub_operator.reconcile.drift import UNKNOWN, find_differences
from dreamhub_operator.reconcile.ledger import Ledger
from dreamhub_operator.reconcile.store_owners import StoreOwners, fetch_owners
from dreamhub_operator.reconcile.tenant_plan import (
    Desired,
    Inside,
    TenantObserved,
    is_settled,
    namespace_key,
    namespace_name,
)
from dreamhub_operator.reconcile.tenant_stores import TenantStores
from dreamhub_operator.vault import KeyVault

OWNED_SECONDS = 600.0
"""How long stores that were found to be a Tenant's are taken for its own."""
LIVE_SECONDS = 600.0
"""How often a Tenant is read whole from the API server, whatever the memory says: the net below the watches."""


@dataclass(frozen=True)
class TenantLook:
    context: Context
    vault: KeyVault
    stores: TenantStores
    owned: Ledger = field(default_factory=lambda: Ledger(OWNED_SECONDS))
    """Tenants whose stores were found to be theirs."""
    _live_at: dict[str, float] = field(default_factory=dict)
    """When each Tenant, by UID, is to be read live next."""

    def is_live_due(self, tenant: Tenant) -> bool:
        """The first time is spread, so that a restart does not read all tenants at once."""
        spread = random.uniform(0, LIVE_SECONDS)  # noqa: S311 - jitter, no secret
        return time.monotonic() >= self._live_at.setdefault(tenant.metadata.uid, time.monotonic() + spread)

    @property
    def known(self) -> int:
        """How many Tenants were looked at."""
        return len(self._live_at)

    def forget(self, tenant: Tenant) -> None:
        """It is gone: nothing of it is kept."""
        self._live_at.pop(tenant.metadata.uid, None)
        self.stores.forget(tenant)
        self.owned.forget(tenant.metadata.uid)

    async def recall(self, tenant: Tenant) -> TenantObserved:
        """From memory. Live are only the Secret and, before secrets are first put there, the namespace itself."""
        space, uid = namespace_name(tenant), tenant.metadata.uid
        known = self.context.children.of(space, uid)
        namespace = known.pop(namespace_key(tenant), None)
        wanted = self.desired(tenant).binding
        binding = known.get(key_of(wanted))
        if not is_settled(tenant) and binding is not None:
            namespace = await self.context.cluster.get(namespace_key(tenant))
        may_look = namespace is not None and _gives_rights(wanted, binding)
        inside = await self._look_inside(tenant, known) if may_look else None
        return TenantObserved(namespace, binding, inside, self._unknown_model(tenant))

    async def observe(self, tenant: Tenant) -> TenantObserved:
        """By live reads of everything."""
        cluster, space = self.context.cluster, namespace_name(tenant)
        live = await cluster.get(namespace_key(tenant))
        if live is None:
            return TenantObserved()
        wanted = self.desired(tenant).binding
        binding = await cluster.get(key_of(wanted))
        if not _gives_rights(wanted, binding):
            return TenantObserved(live, binding, None, self._unknown_model(tenant))
        children: dict[ObjectKey, Manifest] = {}
        for kind in TENANT_CHILDREN:
            found = await cluster.list(kind, space, owner_selector(tenant.metadata.uid))
            children |= {key_of(manifest): manifest for manifest in found}
        inside = await self._look_inside(tenant, children)
        self._live_at[tenant.metadata.uid] = time.monotonic() + LIVE_SECONDS
        return TenantObserved(live, binding, inside, self._unknown_model(tenant))

    async def _look_inside(self, tenant: Tenant, children: dict[ObjectKey, Manifest]) -> Inside:
        name = tenant.metadata.name
        credentials = await self.context.cluster.get(ObjectKey(SECRET, CREDENTIALS_SECRET, namespace_name(tenant)))
        logins, today = read_credentials(credentials), self.context.now()
        ring, fault = await self._read_ring(name)
        former_until = today + self.context.settings.rotation.overlap
        inside = Inside(
            children=children,
            owners=await self._fetch_owners(tenant),
            credentials=credentials,
            ring=ring,
            fresh_credentials=begin_credentials(tenant, make_passwords(), today, former_until),
            fresh_ring=KeyRing.generate(today),
            database=await self.stores.look_at_database(tenant, logins) if logins is not None else UNKNOWN,
            cache=await self.stores.look_at_cache(tenant, logins) if logins is not None else UNKNOWN,
            keys_fault=fault,
        )
        if inside.owners is not None and inside.are_stores_ours(tenant):
            self.owned.record(tenant.metadata.uid, name, time.monotonic())
        return inside

    async def _fetch_owners(self, tenant: Tenant) -> StoreOwners | None:
        name = tenant.metadata.name
        if self.owned.is_current(tenant.metadata.uid, name, time.monotonic()):
            return None
        return await fetch_owners(self.context.database, self.vault, name)

    async def _read_ring(self, tenant: str) -> tuple[KeyRing | None, str | None]:
        """The tenant's data keys, or why its entry cannot be read."""
        try:
            return await self.vault.read(tenant), None
        except (InvalidInputError, BugError) as error:
            return None, error.message

    def desired(self, tenant: Tenant) -> Desired:
        settings = self.context.settings
        children = [
            *build_service_accounts(tenant),
            build_owner_binding(tenant),
            build_approver_binding(tenant),
            build_quota(tenant),
            build_limits(tenant),
            *build_network_policies(tenant, settings.egress, settings.dns, settings.private_networks),
        ]
        return Desired(build_operator_binding(tenant, self.context.subject), children, self.context.addresses)

    def _unknown_model(self, tenant: Tenant) -> str | None:
        models, wanted = self.context.models, tenant.spec.models
        try:
            models.find("embedding", wanted.embedding)
            models.find("chat", wanted.chat)
        except InvalidInputError as error:
            return error.message
        return None


def _gives_rights(wanted: Manifest, binding: Manifest | None) -> bool:
    """Whether the operator may look into the namespace: not before its own RoleBinding is there, and as it was made."""
    return binding is not None and not find_differences(wanted, binding)
