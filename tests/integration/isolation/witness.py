"""All that a tenant has, as one comparable value: whatever a stranger did, it must be what it was."""

import hashlib
from dataclasses import dataclass

import obstore
from obstore.store import S3Store
from redis.asyncio import Redis

from dreamhub import names
from dreamhub.storage.objects import ObjectStoreSettings
from tests.integration.api.platform import GROUP, Cluster
from tests.integration.conftest import Database
from tests.integration.sql.support import connected

State = dict[str, str]
"""Name of a table, object, key or job -> a digest of its content."""


@dataclass(frozen=True)
class Witness:
    database: Database
    redis: Redis
    s3: ObjectStoreSettings
    cluster: Cluster
    tenant: str

    async def look(self) -> State:
        return {**await self.tables(), **await self._objects(), **await self._keys(), **await self._jobs()}

    async def tables(self) -> State:
        """Every table of the tenant's schema, whether it is listed anywhere or not."""
        schema = names.database_role(self.tenant)
        async with connected(self.database.server.superuser_url) as conn:
            tables = await conn.fetch(
                "SELECT relname FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind IN ('r', 'p')",
                f'"{schema}"',
            )
            parts = [
                f"SELECT '{row['relname']}' AS name, count(*) || ' ' || "
                f"md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) AS digest "
                f'FROM "{schema}"."{row["relname"]}" t'
                for row in tables
            ]
            return {row["name"]: row["digest"] for row in await conn.fetch(" UNION ALL ".join(parts))}

    async def _objects(self) -> State:
        store = S3Store(
            self.s3.bucket,
            endpoint=self.s3.endpoint,
            region=self.s3.region,
            access_key_id=self.s3.access_key,
            secret_access_key=self.s3.secret_key,
            client_options={"allow_http": True},
        )
        found = await obstore.list(store, f"tenants/{self.tenant}/").collect_async()
        return {item["path"]: str(item["e_tag"]) for item in found}

    async def _keys(self) -> State:
        keys = [key.decode() async for key in self.redis.scan_iter(f"{names.redis_prefix(self.tenant)}*", count=1000)]
        values = [await self.redis.dump(key) for key in keys]
        return {key: hashlib.sha256(value or b"").hexdigest() for key, value in zip(keys, values, strict=True)}

    async def _jobs(self) -> State:
        path = f"{GROUP}/namespaces/{names.namespace(self.tenant)}/ingestjobs"
        items = (await self.cluster.api.ok("GET", path))["items"]
        return {f"job {item['metadata']['name']}": item["metadata"]["resourceVersion"] for item in items}
