"""A tenant's place in PostgreSQL and its user in Redis: whether they are right, and making them so."""

import asyncio
import random
import time
from dataclasses import dataclass, field, replace

import structlog

from dreamhub.crd.tenant import Tenant
from dreamhub.domain.conditions import is_true
from dreamhub.errors import DreamHubError
from dreamhub.names import database_role, redis_user
from dreamhub_operator.context import Context
from dreamhub_operator.desired.credentials import Credentials
from dreamhub_operator.reconcile.drift import RIGHT, UNKNOWN, Finding
from dreamhub_operator.reconcile.ledger import Ledger
from dreamhub_operator.store_audit import CacheAudit, DatabaseAudit

DATABASE_SECONDS = 600.0
"""After so long a tenant is provisioned again whatever its catalogs say: they do not show a changed password."""
LOOKS = 3
"""How many looks at the stores there are to one at each tenant: what is found late is the sum of both ages."""

log = structlog.get_logger()


@dataclass
class TenantStores:
    context: Context
    database: Ledger = field(default_factory=lambda: Ledger(DATABASE_SECONDS))
    cache: Ledger = field(default_factory=lambda: Ledger(float("inf")))
    _database_audit: DatabaseAudit = field(init=False)
    _cache_audit: CacheAudit = field(init=False)
    _provisioning: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One at a time: the database does them one after the other, and who waits there keeps a connection."""

    def __post_init__(self) -> None:
        seconds = self.context.settings.drift_seconds / LOOKS
        self._database_audit = DatabaseAudit(self.context.database, seconds)
        self._cache_audit = CacheAudit(self.context.cache, seconds)

    def forget(self, tenant: Tenant) -> None:
        self.database.forget(tenant.metadata.uid)
        self.cache.forget(tenant.metadata.uid)
        self._database_audit.forget(tenant.metadata.name)
        self._cache_audit.forget(tenant.metadata.name)

    async def look_at_database(self, tenant: Tenant, logins: Credentials) -> Finding:
        """What was made before this process began is trusted when it looks right, until its turn comes."""
        name, uid, now = tenant.metadata.name, tenant.metadata.uid, time.monotonic()
        made_at = self.database.find(uid, logins.fingerprint)
        if self.database.knows(uid) and not self.database.is_current(uid, logins.fingerprint, now):
            return UNKNOWN
        if made_at is None and not is_true(tenant.status.conditions, "DatabaseReady"):
            return UNKNOWN
        try:
            finding = await self._database_audit.check(name, logins.slot, made_at)
        except DreamHubError as error:
            log.warning("the database cannot be looked at", tenant=name, error=error.message)
            return UNKNOWN
        if finding == RIGHT and made_at is None:
            spread = random.uniform(0, DATABASE_SECONDS)  # noqa: S311 - jitter, no secret
            self.database.record(uid, logins.fingerprint, now - spread)
        return finding

    async def provision(self, tenant: Tenant, logins: Credentials, changed: tuple[str, ...]) -> tuple[str, ...]:
        """Returns what of `changed` is right now. Raises ForbiddenError when something dangerous is left."""
        name = tenant.metadata.name
        async with self._provisioning:
            if not changed and await self.look_at_database(tenant, logins) == RIGHT:
                return ()  # while it waited, another tenant has shown how all should look
            await self.context.database.provision(name, logins, strip=bool(changed))
            left: tuple[str, ...] = ()
            if changed or self._database_audit.needs_learning:
                left = await self._database_audit.learn(name, logins.slot)
        if left:
            log.error("the database is not as provisioning makes it", tenant=name, left=left)
        self.database.record(tenant.metadata.uid, logins.fingerprint, time.monotonic())
        return tuple(fault for fault in changed if fault not in left)

    async def look_at_cache(self, tenant: Tenant, logins: Credentials) -> Finding:
        uid = tenant.metadata.uid
        made_at = self.cache.find(uid, logins.fingerprint)
        try:
            finding = await self._cache_audit.check(tenant.metadata.name, logins.redis_digests, made_at)
        except DreamHubError as error:
            log.warning("the cache cannot be looked at", tenant=tenant.metadata.name, error=error.message)
            return UNKNOWN
        if finding == RIGHT and made_at is None:
            self.cache.record(uid, logins.fingerprint, float("-inf"))
        ours = self.cache.knows(uid) and made_at is None
        return replace(finding, foreign=finding.foreign and not ours)

    async def set_user(self, tenant: Tenant, logins: Credentials) -> None:
        await self.context.cache.set_user(tenant.metadata.name, logins.redis_digests)
        self.cache.record(tenant.metadata.uid, logins.fingerprint, time.monotonic())


def database_label(tenant: Tenant) -> str:
    """As Kind/name, like the objects of Kubernetes."""
    return f"Database/{database_role(tenant.metadata.name)}"


def cache_label(tenant: Tenant) -> str:
    return f"RedisUser/{redis_user(tenant.metadata.name)}"
