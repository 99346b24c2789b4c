"""PostgreSQL, Redis and S3 behind the operator's ports."""

import hashlib
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from redis.asyncio import Redis

from dreamhub.domain.call_budget import Rates
from dreamhub.domain.cost import Ratios
from dreamhub.domain.fair_books import Books, Entry
from dreamhub.domain.vector_index import VectorIndex
from dreamhub.errors import NotFoundError, UnavailableError
from dreamhub.names import object_key
from dreamhub.sql import audit, fair_books, logins, owners, quota, reservations, runs, schema, tenants, vectors
from dreamhub.sql.audit import Digests, Line
from dreamhub.sql.connections import Connection, Pool, translate_failures
from dreamhub.sql.fair_books import Moment
from dreamhub.sql.logins import FormerSlot
from dreamhub.sql.quota import Admission, Limits, QuotaUsage
from dreamhub.sql.reservations import Shortage
from dreamhub.sql.runs import ResolvedDocument, RunStatus
from dreamhub.sql.tenants import RekeyRun
from dreamhub.storage import model_budget, redis_acl, redis_audit
from dreamhub.storage.model_budget import Calls, Place
from dreamhub.storage.objects import ObjectStore
from dreamhub.storage.redis_audit import Users
from dreamhub_operator.desired.credentials import Credentials
from dreamhub_operator.tenant_turns import TenantTurns


@dataclass(frozen=True)
class PostgresDatabase:
    pool: Pool
    turns: TenantTurns

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        with translate_failures():
            async with self.pool.acquire() as conn:
                yield conn

    async def provision(self, tenant: str, credentials: Credentials, *, strip: bool = False) -> None:
        async with self._connection() as conn, conn.transaction():
            if strip:
                await audit.strip_tenant(conn, tenant)
            await tenants.provision_tenant(conn, tenant)
            await _set_login(conn, tenant, credentials)
            if credentials.former is not None:
                await logins.expire_login(conn, tenant, credentials.former.slot, credentials.former.valid_until)

    async def fetch_digests(self) -> Digests:
        async with self._connection() as conn:
            return await audit.fetch_digests(conn)

    async def inspect(self, tenant: str) -> frozenset[Line]:
        async with self._connection() as conn:
            return await audit.fetch_state(conn, tenant)

    async def set_login(self, tenant: str, credentials: Credentials) -> None:
        async with self._connection() as conn:
            await _set_login(conn, tenant, credentials)

    async def end_login(self, tenant: str, slot: FormerSlot) -> None:
        async with self._connection() as conn:
            await logins.end_login(conn, tenant, slot)

    async def count_sealed(self, tenant: str, key_id: str) -> int:
        async with self._connection() as conn:
            return await tenants.count_sealed(conn, tenant, key_id)

    async def fetch_rekey_run(self, tenant: str, key_id: str) -> RekeyRun | None:
        async with self._connection() as conn:
            return await tenants.fetch_rekey_run(conn, tenant, key_id)

    async def fetch_owner(self, tenant: str) -> str | None:
        async with self._connection() as conn:
            return await owners.fetch_owner(conn, tenant)

    async def claim(self, tenant: str, owner: str, former: str | None) -> None:
        async with self._connection() as conn:
            await owners.claim_tenant(conn, tenant, owner, former)

    async def erase(self, tenant: str, owner: str) -> None:
        async with self._connection() as conn:
            await owners.erase_tenant(conn, tenant, owner)

    async def release(self, tenant: str, owner: str) -> None:
        async with self._connection() as conn:
            await owners.release_tenant(conn, tenant, owner)

    async def count_documents(self, tenant: str) -> int:
        async with self.turns.read(tenant) as conn:
            try:
                return await tenants.count_documents(conn, tenant)
            except NotFoundError:
                return 0

    async def resolve(
        self, tenant: str, document_ids: Collection[str], as_of: datetime | None = None
    ) -> Mapping[str, ResolvedDocument]:
        async with self.turns.read(tenant) as conn:
            return await runs.resolve_documents(conn, tenant, document_ids, as_of)

    async def fetch_runs(self, tenant: str, uids: Collection[str]) -> Mapping[str, RunStatus]:
        async with self.turns.read(tenant) as conn:
            return await runs.fetch_progress(conn, tenant, uids)

    async def fetch_ratios(self, tenant: str) -> Ratios:
        async with self.turns.read(tenant) as conn:
            return await reservations.fetch_ratios(conn, tenant)

    async def ping(self) -> None:
        async with self._connection() as conn:
            version = await schema.fetch_schema_version(conn)
        if not schema.is_compatible(version):
            raise UnavailableError(f"the database schema is at version {version}; this build needs {schema.SCHEMA_MIN}")


async def _set_login(conn: Connection, tenant: str, credentials: Credentials) -> None:
    """One of a release without slots is left as it is until it has been rotated."""
    if credentials.slot:
        verifier = _build_verifier(tenant, credentials.passwords.database)
        await logins.set_login(conn, tenant, credentials.slot, verifier)


def _build_verifier(tenant: str, password: str) -> str:
    """The salt comes from the password, so that repeating it sets the same verifier."""
    salt = hashlib.sha256(f"dreamhub:{tenant}:{password}".encode()).digest()[:16]
    return tenants.build_scram_verifier(password, salt=salt)


@dataclass(frozen=True)
class PostgresQuotas:
    pool: Pool
    turns: TenantTurns

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        with translate_failures():
            async with self.pool.acquire() as conn:
                yield conn

    async def set_limits(self, tenant: str, limits: Limits, *, suspended: bool) -> None:
        async with self.turns.change(tenant) as conn:
            await quota.set_limits(conn, tenant, limits, suspended=suspended)

    async def fetch_usage(self, tenants: Collection[str]) -> Mapping[str, QuotaUsage]:
        async with self._connection() as conn:
            return await quota.fetch_usage(conn, tenants)

    async def fetch_admissions(self, tenants: Collection[str]) -> Mapping[str, Sequence[Admission]]:
        async with self._connection() as conn:
            return await quota.fetch_admissions(conn, tenants)

    async def admit_jobs(self, tenant: str, jobs: Mapping[str, str]) -> frozenset[str]:
        async with self.turns.change(tenant) as conn:
            return await quota.admit_jobs(conn, tenant, jobs)

    async def release_jobs(self, tenant: str, names: Collection[str]) -> None:
        async with self.turns.change(tenant) as conn:
            await quota.release_jobs(conn, tenant, names)

    async def reserve_tokens(self, tenant: str, uid: str, tokens: int) -> Shortage | None:
        async with self.turns.change(tenant) as conn:
            return await reservations.reserve_tokens(conn, tenant, uid, tokens)


@dataclass(frozen=True)
class PostgresLedger:
    pool: Pool

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        with translate_failures():
            async with self.pool.acquire() as conn:
                yield conn

    async def fetch_books(self, half_life: float) -> Books:
        async with self._connection() as conn:
            return await fair_books.fetch_books(conn, half_life)

    async def enter(self, entry: Entry, moment: Moment) -> None:
        async with self._connection() as conn:
            await fair_books.enter(conn, entry, moment)

    async def forget_balances(self, kept: Collection[str]) -> None:
        async with self._connection() as conn:
            await fair_books.forget_balances(conn, kept)


@dataclass(frozen=True)
class PostgresVectors:
    pool: Pool

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        with translate_failures():
            async with self.pool.acquire() as conn:
                yield conn

    async def fetch(self, tenants: Collection[str]) -> Mapping[str, VectorIndex]:
        async with self._connection() as conn:
            return await vectors.fetch_vector_indexes(conn, tenants)

    async def build(self, tenant: str) -> bool:
        async with self._connection() as conn:
            return await vectors.build_vector_index(conn, tenant)

    async def drop(self, tenant: str) -> None:
        async with self._connection() as conn:
            await vectors.drop_vector_indexes(conn, tenant)

    async def refresh(self, tenant: str) -> None:
        async with self._connection() as conn:
            await vectors.refresh_statistics(conn, tenant)


@dataclass(frozen=True)
class RedisCache:
    redis: Redis

    async def fetch_users(self) -> Users:
        return await redis_audit.fetch_users(self.redis)

    async def set_user(self, tenant: str, digests: Sequence[str]) -> None:
        await redis_acl.set_tenant_user(self.redis, tenant, digests)

    async def delete_user(self, tenant: str) -> None:
        await redis_acl.delete_tenant_user(self.redis, tenant)

    async def delete_keys(self, tenant: str) -> None:
        await redis_acl.delete_tenant_keys(self.redis, tenant)

    async def fetch_calls(self, places: Sequence[Place]) -> Mapping[Place, Calls]:
        return await model_budget.fetch_calls(self.redis, places)

    async def put_shares(self, shares: Mapping[Place, Rates], gone: Collection[Place]) -> None:
        await model_budget.put_shares(self.redis, shares, gone)


@dataclass(frozen=True)
class S3Objects:
    store: ObjectStore

    async def presign_get(self, tenant: str, version_id: str, seconds: int) -> str:
        return await self.store.presign_get(object_key(tenant, version_id), seconds)

    async def presign_put(self, tenant: str, version_id: str, seconds: int) -> str:
        return await self.store.presign_put(object_key(tenant, version_id), seconds)

    async def delete_all(self, tenant: str) -> None:
        await self.store.delete_prefix(object_key(tenant, ""))
