"""Whose the stores of a tenant's name are. A name may come back as another Tenant; a UID does not.

The database records the owner for itself, Redis and S3; the Secret of data keys records it beside the keys. A Tenant
makes, changes and destroys only what both give to it.
"""

from dataclasses import dataclass

from dreamhub.crd.tenant import Tenant
from dreamhub.names import ADOPT_ANNOTATION
from dreamhub_operator.ports import Database
from dreamhub_operator.vault import KeyVault


@dataclass(frozen=True, slots=True)
class StoreOwners:
    """UIDs of Tenants; None for what nobody has claimed."""

    database: str | None = None
    keys: str | None = None

    def find_strangers(self, tenant: Tenant) -> tuple[str, ...]:
        """Sentences about what belongs to another than the Tenant and the one that it adopts."""
        ours = {None, tenant.metadata.uid, find_former(tenant)}
        parts = (("documents", self.database), ("data keys", self.keys))
        return tuple(
            f"the {what} of this name belong to another Tenant (UID {uid})" for what, uid in parts if uid not in ours
        )

    def gives_something_to(self, tenant: Tenant) -> bool:
        return tenant.metadata.uid in (self.database, self.keys)

    @property
    def is_nobodys(self) -> bool:
        return self.database is None and self.keys is None


NOBODYS = StoreOwners()


def find_former(tenant: Tenant) -> str | None:
    """UID of the former Tenant of the same name that this one is to take over, as its author says."""
    return tenant.metadata.annotations.get(ADOPT_ANNOTATION) or None


def explain_adoption(tenant: Tenant, uid: str) -> str:
    """The command that hands over what was another Tenant's."""
    return f"kubectl annotate tenant {tenant.metadata.name} --overwrite {ADOPT_ANNOTATION}={uid}"


async def fetch_owners(database: Database, vault: KeyVault, tenant: str, *, live: bool = False) -> StoreOwners:
    """`live` before anything is destroyed: else the owner of the keys may be as old as what is remembered of them."""
    return StoreOwners(await database.fetch_owner(tenant), await vault.read_owner(tenant, live=live))


async def claim_stores(database: Database, vault: KeyVault, tenant: Tenant) -> None:
    """Make them this Tenant's. Idempotent. Raises ConflictError when they are another's, whom it does not adopt."""
    name, uid, former = tenant.metadata.name, tenant.metadata.uid, find_former(tenant)
    await database.claim(name, uid, former)
    await vault.claim(name, uid, former)
