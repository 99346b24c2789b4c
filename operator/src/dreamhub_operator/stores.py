"""PostgreSQL, Redis and S3 behind the operator's ports."""

import hashlib
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from redis.asyncio import Redis

from dreamhub.errors import NotFoundError, UnavailableError
from dreamhub.names import object_key
from dreamhub.sql import runs, schema, tenants
from dreamhub.sql.connections import Connection, Pool, translate_failures
from dreamhub.sql.runs import ResolvedDocument, RunStatus
from dreamhub.storage import redis_acl
from dreamhub.storage.objects import ObjectStore


@dataclass(frozen=True)
class PostgresDatabase:
    pool: Pool

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        with translate_failures():
            async with self.pool.acquire() as conn:
                yield conn

    async def provision(self, tenant: str, password: str) -> None:
        """The salt comes from the password, so that repeating it sets the same verifier."""
        salt = hashlib.sha256(f"dreamhub:{tenant}:{password}".encode()).digest()[:16]
        async with self._connection() as conn:
            await tenants.provision_tenant(conn, tenant, tenants.build_scram_verifier(password, salt=salt))

    async def drop(self, tenant: str) -> None:
        async with self._connection() as conn:
            await tenants.drop_tenant(conn, tenant)

    async def count_documents(self, tenant: str) -> int:
        async with self._connection() as conn:
            try:
                return await tenants.count_documents(conn, tenant)
            except NotFoundError:
                return 0

    async def resolve(self, tenant: str, document_ids: Collection[str]) -> Mapping[str, ResolvedDocument]:
        async with self._connection() as conn:
            return await runs.resolve_documents(conn, tenant, document_ids)

    async def fetch_runs(self, tenant: str, uids: Collection[str]) -> Mapping[str, RunStatus]:
        async with self._connection() as conn:
            return await runs.fetch_progress(conn, tenant, uids)

    async def ping(self) -> None:
        async with self._connection() as conn:
            version = await schema.fetch_schema_version(conn)
        if not schema.is_compatible(version):
            raise UnavailableError(f"the database schema is at version {version}; this build needs {schema.SCHEMA_MIN}")


@dataclass(frozen=True)
class RedisCache:
    redis: Redis

    async def set_user(self, tenant: str, password: str) -> None:
        await redis_acl.set_tenant_user(self.redis, tenant, password)

    async def delete_user(self, tenant: str) -> None:
        await redis_acl.delete_tenant_user(self.redis, tenant)

    async def delete_keys(self, tenant: str) -> None:
        await redis_acl.delete_tenant_keys(self.redis, tenant)


@dataclass(frozen=True)
class S3Objects:
    store: ObjectStore

    async def presign_get(self, tenant: str, version_id: str, seconds: int) -> str:
        return await self.store.presign_get(object_key(tenant, version_id), seconds)

    async def presign_put(self, tenant: str, version_id: str, seconds: int) -> str:
        return await self.store.presign_put(object_key(tenant, version_id), seconds)

    async def delete_all(self, tenant: str) -> None:
        await self.store.delete_prefix(object_key(tenant, ""))
