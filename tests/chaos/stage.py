"""Where runs take place: a Kubernetes API server and S3; PostgreSQL, Redis and the operator, which may be killed."""

import asyncio
import contextlib
import io
import secrets
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import asyncpg

from dreamhub.crd.definitions import DEFINITIONS, build_crd
from dreamhub.sql.migrate import load_migrations, migrate_up
from dreamhub.storage.objects import ObjectStore, ObjectStoreSettings
from tests.chaos.mortal import Mortal, postgres_command, redis_command
from tests.integration.conftest import MIGRATIONS, Database, bootstrap
from tests.integration.operator.control_plane import Api, install_crds, start_control_plane, wait_ready
from tests.integration.operator.deployment import Stores, build_environment, create_token, install_rights
from tests.integration.servers import ADMIN_PASSWORD, RedisServer, pick_port, run_postgres, run_s3


@dataclass(frozen=True)
class Stage:
    api: Api
    postgres: Mortal
    redis: Mortal
    operator: Mortal
    objects: ObjectStore
    superuser_url: str
    folder: Path


@contextlib.asynccontextmanager
async def open_stage(folder: Path) -> AsyncIterator[Stage]:
    async with contextlib.AsyncExitStack() as stack:
        api, environment, stores = await _open_servers(folder, stack)
        server, redis_port = stores.database.server, stores.redis.port
        data, away = server.directory / "data", _make_folder(folder, "redis")
        postgres = Mortal("postgres", postgres_command(data, server.port), folder / "pg.log", port=server.port)
        redis = Mortal("redis", redis_command(away, redis_port, ADMIN_PASSWORD), folder / "redis.log", port=redis_port)
        operator = Mortal("operator", [sys.executable, "-m", "dreamhub_operator"], folder / "operator.log", environment)
        for mortal in (postgres, redis, operator):
            await stack.enter_async_context(_keep(mortal))
        objects = ObjectStore(stores.s3)
        await objects.ensure_bucket()
        yield Stage(api, postgres, redis, operator, objects, server.superuser_url, folder)


async def _open_servers(folder: Path, stack: contextlib.AsyncExitStack) -> tuple[Api, dict[str, str], Stores]:
    """All that is not killed, the operator's environment, and where the others will be."""
    plane = start_control_plane(_make_folder(folder, "control-plane"))
    stack.callback(plane.stop)
    api = Api(await stack.enter_async_context(aiohttp.ClientSession()), plane.url)
    await wait_ready(api, plane)
    await install_crds(api, [build_crd(definition) for definition in DEFINITIONS])
    await install_rights(api)
    s3 = stack.enter_context(run_s3(_make_folder(folder, "s3")))
    settings = ObjectStoreSettings(s3.endpoint, "dreamhub", "us-east-1", s3.access_key, s3.secret_key)
    database = await _make_database(_make_folder(folder, "postgres"))
    stores = Stores(database, RedisServer(pick_port()), settings)
    environment = build_environment(await create_token(api), plane, stores, _make_folder(folder, "operator"))
    del environment["DREAMHUB_DRIFT_SECONDS"]  # as in a release: Redis is repaired no faster than there
    return api, environment | {"DREAMHUB_METRICS_PORT": str(pick_port())}, stores


async def _make_database(folder: Path) -> Database:
    """Migrated by the tests' own means, and stopped again."""
    with run_postgres(folder) as server:
        database = Database(server, secrets.token_hex(8))
        await bootstrap(server, database.password)
        owner = await asyncpg.connect(database.url("dreamhub_owner"))
        await migrate_up(owner, load_migrations(MIGRATIONS), io.StringIO())
        await owner.close()
    return database


@contextlib.asynccontextmanager
async def _keep(mortal: Mortal) -> AsyncIterator[None]:
    keeping = asyncio.create_task(mortal.keep())
    await mortal.ready()
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        mortal.kill()


def _make_folder(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir(mode=0o755)
    return made
