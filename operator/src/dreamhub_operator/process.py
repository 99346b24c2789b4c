"""The process around the service: settings, election, then kopf's watches and our queues until the end."""

import asyncio
import gc
import logging
import os
import sys
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry
from pydantic import ValidationError
from redis.asyncio import Redis

from dreamhub.errors import DreamHubError
from dreamhub.llm.models import load_models
from dreamhub.secret_files import SecretWatch, secret_source
from dreamhub.sql.connections import Pool
from dreamhub.sql.pool import PoolOptions, open_pool, renew_pool
from dreamhub.storage.objects import ObjectStore, ObjectStoreSettings
from dreamhub.storage.redis_login import open_redis, renew_connections
from dreamhub.telemetry import configure_logging
from dreamhub_operator.children import Children
from dreamhub_operator.cluster import Cluster
from dreamhub_operator.connection import Connection, find_credentials
from dreamhub_operator.context import Context
from dreamhub_operator.desired.namespace import build_subject
from dreamhub_operator.election import Election, LeaseLostError
from dreamhub_operator.freshness import Freshness
from dreamhub_operator.metrics import Metrics
from dreamhub_operator.probes import Probes
from dreamhub_operator.service import Service, StopSignal
from dreamhub_operator.settings import Settings
from dreamhub_operator.stores import (
    PostgresDatabase,
    PostgresLedger,
    PostgresQuotas,
    PostgresVectors,
    RedisCache,
    S3Objects,
)
from dreamhub_operator.tenant_turns import TenantTurns
from dreamhub_operator.watched import Watched

EXIT_CONFIGURATION = 78
EXIT_FAILED = 75
"""Kubernetes starts the container again, and it waits as a standby."""

LOCK_SECONDS = 10.0
"""A tenant's login can lock the tenant's own tables for as long as it likes: who asks for them holds one of the few
connections, which serve all tenants, no longer than this."""

log = structlog.get_logger()


async def run(settings: Settings) -> None:
    """Open everything, run until a signal, close everything. Raises DreamHubError, LeaseLostError among them."""
    stop = StopSignal()
    stop.take()
    async with AsyncExitStack() as stack:
        freshness = Freshness()
        connection = Connection(find_credentials())
        session = connection.open_session()
        stack.push_async_callback(session.close)
        metrics = Metrics(CollectorRegistry())
        cluster = Cluster(connection.url, session, metrics.count_request)
        context = await open_context(settings, cluster, metrics, stack)
        election = Election(cluster, settings.pod_name, settings.system_namespace, settings.lease_seconds)
        service = Service(context, connection, freshness, election)
        probes = Probes(cluster, freshness, context.watched, context.metrics, service.is_ready)
        await serve(probes, settings.metrics_port, stack)
        await service.run(stop)


async def open_context(settings: Settings, cluster: Cluster, metrics: Metrics, stack: AsyncExitStack) -> Context:
    pool, redis = await open_logins(settings, stack)
    turns = TenantTurns(pool)
    database = PostgresDatabase(pool, turns)
    await database.ping()
    return Context(
        settings=settings,
        cluster=cluster,
        database=database,
        quotas=PostgresQuotas(pool, turns),
        vectors=PostgresVectors(pool),
        ledger=PostgresLedger(pool),
        cache=RedisCache(redis),
        objects=S3Objects(ObjectStore(read_store_settings(settings), settings.read_s3_keys)),
        models=load_models(settings.models_file),
        metrics=metrics,
        watched=Watched(),
        children=Children(),
        now=lambda: datetime.now(UTC),
        subject=build_subject(await cluster.fetch_username()),
    )


async def open_logins(settings: Settings, stack: AsyncExitStack) -> tuple[Pool, Redis]:
    """Their secrets are read from files at each use; a watch lets go of connections that older ones have opened."""
    database_url, redis_url = secret_source(settings.database_url_file), secret_source(settings.redis_url_file)
    options = PoolOptions(minimum=1, maximum=4, application="dreamhub-operator", lock_timeout=LOCK_SECONDS)
    pool = await open_pool(database_url, options)
    stack.push_async_callback(pool.close)
    redis = open_redis(redis_url)
    stack.push_async_callback(redis.aclose)
    watch = SecretWatch()
    watch.add("database-url", database_url, partial(renew_pool, pool))
    watch.add("redis-url", redis_url, partial(renew_connections, redis))
    await stack.enter_async_context(watch.running())
    return pool, redis


def read_store_settings(settings: Settings) -> ObjectStoreSettings:
    keys = settings.read_s3_keys()
    return ObjectStoreSettings(
        endpoint=settings.s3_endpoint,
        bucket=settings.s3_bucket,
        region=settings.s3_region,
        access_key=keys.access_key,
        secret_key=keys.secret_key,
    )


async def serve(probes: Probes, port: int, stack: AsyncExitStack) -> None:
    runner = web.AppRunner(probes.build(), access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, port=port).start()


def main() -> None:
    gc.freeze()
    gc.enable()
    try:
        settings = Settings()
    except ValidationError as error:
        names = ", ".join("DREAMHUB_" + "_".join(map(str, fault["loc"])).upper() for fault in error.errors())
        sys.stderr.write(f"the settings are not complete or not right: {names}\n{error}\n")
        sys.exit(EXIT_CONFIGURATION)
    configure_logging("operator", settings.log_level)
    logging.getLogger("kopf").setLevel(logging.WARNING)
    try:
        asyncio.run(run(settings))
    except LeaseLostError as error:
        log.error("lease lost", error=error.message)  # noqa: TRY400 - the message says it all
        sys.stdout.flush()
        os._exit(EXIT_FAILED)
    except DreamHubError as error:
        log.error("stopped", code=error.code, error=error.message)  # noqa: TRY400 - the message says it all
        sys.exit(EXIT_FAILED)
