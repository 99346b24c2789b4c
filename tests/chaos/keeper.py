"""The operator's part in a run, as a process that can be killed: `python -m tests.chaos.keeper`.

It reads progress, and brings back the tenant's user and the functions to a Redis that has forgotten them.
"""

import asyncio
import os

import asyncpg
from redis.asyncio import Redis

from dreamhub.errors import DreamHubError
from dreamhub.sql.connections import translate_failures
from dreamhub.sql.runs import fetch_progress
from dreamhub.storage.redis_acl import set_tenant_user


async def main() -> None:
    tenant, uid = os.environ["CHAOS_TENANT"], os.environ["CHAOS_RUN"]
    redis = Redis.from_url(os.environ["CHAOS_REDIS"])
    while True:
        try:
            await set_tenant_user(redis, tenant, [os.environ["CHAOS_DIGEST"]])
            with translate_failures():
                conn = await asyncpg.connect(os.environ["CHAOS_DATABASE"])
                await fetch_progress(conn, tenant, [uid])
                await conn.close()
        except DreamHubError as error:
            print(f"waiting: {error.code}", flush=True)
        await asyncio.sleep(0.5)


if __name__ == "__main__":
    asyncio.run(main())
