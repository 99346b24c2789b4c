"""Opens everything that the server holds for its life, in order, and wires the services to it."""

import asyncio
import signal
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp
import structlog
from redis.asyncio import Redis

from dreamhub.crd.ingest_job import IngestJob
from dreamhub.crd.tenant import Tenant
from dreamhub.domain.envelope import MasterKeys
from dreamhub.llm.models import load_models
from dreamhub.secret_files import SecretWatch, secret_source
from dreamhub.sql.connections import Pool
from dreamhub.sql.pool import PoolOptions, open_pool, renew_pool
from dreamhub.storage.objects import ObjectStore, ObjectStoreSettings
from dreamhub.storage.progress import WakeUps
from dreamhub.storage.redis_login import open_redis, renew_connections
from dreamhub_api.auth.authenticator import Authenticator
from dreamhub_api.auth.jwks import JwksCache, http_fetch
from dreamhub_api.auth.oidc import OidcRules, OidcVerifier
from dreamhub_api.auth.token_review import TokenReviewVerifier
from dreamhub_api.cluster import resources
from dreamhub_api.cluster.kubernetes import KubernetesApi
from dreamhub_api.cluster.tenant_keys import TenantKeys
from dreamhub_api.cluster.watch_cache import WatchCache
from dreamhub_api.hub.hub import Hub
from dreamhub_api.metrics import Metrics, build_metrics
from dreamhub_api.services.answers import AnswerService
from dreamhub_api.services.bundle import Services
from dreamhub_api.services.dead_letters import DeadLettersService
from dreamhub_api.services.documents import DocumentsService
from dreamhub_api.services.idempotency import IdempotencyService
from dreamhub_api.services.ingest_jobs import IngestJobsService
from dreamhub_api.services.links import LinksService
from dreamhub_api.services.models import Models
from dreamhub_api.services.originals import OriginalsService
from dreamhub_api.services.readiness import Check, cache_check, redis_check, schema_check
from dreamhub_api.services.search import SearchService
from dreamhub_api.services.sessions import Sessions
from dreamhub_api.services.tickets import TicketService
from dreamhub_api.services.uploads import UploadService
from dreamhub_api.services.usage import UsageService
from dreamhub_api.settings import Settings

LOCK_SECONDS = 3.0
"""All tenants share the connections: what one tenant's own login keeps locked must not keep one for long."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Caches:
    """What is watched in the cluster."""

    tenants: WatchCache[Tenant]
    jobs: WatchCache[IngestJob]
    entries: WatchCache[dict[str, str]]
    masters: WatchCache[MasterKeys]
    keys: TenantKeys

    def find_tenant(self, name: str) -> Tenant | None:
        return self.tenants.get(("", name))

    def list_tenants(self) -> tuple[str, ...]:
        return tuple(self.tenants.namespace(""))

    def measure(self, metrics: Metrics) -> None:
        for kind, cache in (("Tenant", self.tenants), ("IngestJob", self.jobs), ("Secret", self.entries)):
            metrics.watch_age.labels(kind).set_function(cache.age_seconds)

    def synced(self) -> bool:
        return all(cache.synced for cache in (self.tenants, self.jobs, self.entries, self.masters))


@dataclass(frozen=True)
class Stores:
    pool: Pool
    redis: Redis
    objects: ObjectStore


async def open_services(settings: Settings, stack: AsyncExitStack) -> Services:
    """Raises UnavailableError when a dependency is away: Kubernetes then starts the pod again, with its back-off."""
    api = await KubernetesApi.open(settings.kubeconfig)
    stack.push_async_callback(api.close)
    caches = _open_caches(settings, api, stack)
    stores = await _open_stores(settings, stack)
    authenticator = await _open_authenticator(settings, resources.Cluster(api), caches, stack)
    models = Models(load_models(settings.models_file), stores.redis)
    stack.push_async_callback(models.close)
    await models.warm()
    metrics = build_metrics()
    caches.measure(metrics)
    sessions = Sessions(stores.pool, caches.keys.find, caches.keys.reread)
    jobs = IngestJobsService(resources.Cluster(api), caches.jobs, sessions, stores.redis)
    search = SearchService(sessions, models, caches.find_tenant, metrics)
    originals = OriginalsService(sessions, stores.objects, caches.list_tenants)
    _keep_running(originals.run(), stack)
    hub = Hub(stores.redis, await stack.enter_async_context(WakeUps(stores.redis)), jobs)
    stack.push_async_callback(hub.close)
    return Services(
        authenticator=authenticator,
        documents=DocumentsService(sessions, originals, stores.objects),
        uploads=UploadService(sessions, originals, stores.objects, settings.upload_limit_bytes, metrics),
        jobs=jobs,
        dead_letters=DeadLettersService(jobs, sessions),
        search=search,
        answers=AnswerService(search, models, caches.find_tenant),
        tickets=TicketService(stores.redis),
        usage=UsageService(sessions, lambda namespace: caches.jobs.namespace(namespace).values()),
        idempotency=IdempotencyService(stores.redis),
        links=LinksService(sessions, stores.objects, settings.read_job_token_keys, time.time),
        sessions=sessions,
        hub=hub,
        metrics=metrics,
        checks=_build_checks(stores, caches),
        find_tenant=caches.find_tenant,
    )


def _build_checks(stores: Stores, caches: Caches) -> dict[str, Check]:
    return {
        "database": schema_check(stores.pool),
        "redis": redis_check(stores.redis),
        "cluster": cache_check(caches.synced),
    }


def _open_caches(settings: Settings, api: KubernetesApi, stack: AsyncExitStack) -> Caches:
    namespace = settings.system_namespace
    entries = WatchCache(api, resources.tenant_keys(namespace))
    masters = WatchCache(api, resources.master_keys(namespace))
    caches = Caches(
        tenants=WatchCache(api, resources.tenants()),
        jobs=WatchCache(api, resources.ingest_jobs()),
        entries=entries,
        masters=masters,
        keys=TenantKeys(entries, masters, api, namespace),
    )
    for cache in (caches.tenants, caches.jobs, caches.masters, caches.entries):
        _keep_running(cache.run(), stack)
    return caches


async def _open_stores(settings: Settings, stack: AsyncExitStack) -> Stores:
    """Their secrets are read from files at each use; a watch lets go of connections that older ones have opened."""
    options = PoolOptions(maximum=settings.database_connections, application="dreamhub-api", lock_timeout=LOCK_SECONDS)
    database_url, redis_url = secret_source(settings.database_url_file), secret_source(settings.redis_url_file)
    pool = await open_pool(database_url, options)
    stack.push_async_callback(pool.close)
    redis = open_redis(redis_url)
    stack.push_async_callback(redis.aclose)
    keys = settings.read_s3_keys()
    store_settings = ObjectStoreSettings(
        endpoint=settings.s3_endpoint,
        bucket=settings.s3_bucket,
        region=settings.s3_region,
        access_key=keys.access_key,
        secret_key=keys.secret_key,
    )
    watch = SecretWatch()
    watch.add("database-url", database_url, partial(renew_pool, pool))
    watch.add("redis-url", redis_url, partial(renew_connections, redis))
    await stack.enter_async_context(watch.running())
    return Stores(pool, redis, ObjectStore(store_settings, settings.read_s3_keys))


async def _open_authenticator(
    settings: Settings, cluster: resources.Cluster, caches: Caches, stack: AsyncExitStack
) -> Authenticator:
    reviewer = TokenReviewVerifier(cluster.review_token, time.time)
    oidc = None
    if settings.oidc_issuer is not None:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        fetch = http_fetch(session, settings.oidc_issuer, settings.oidc_jwks_url)
        rules = OidcRules(
            issuer=settings.oidc_issuer,
            audience=settings.oidc_audience,
            tenant_claim=settings.oidc_tenant_claim,
            scope_claim=settings.oidc_scope_claim,
        )
        oidc = OidcVerifier(rules, JwksCache(fetch, time.monotonic), time.time)
    return Authenticator(oidc, reviewer, caches.find_tenant, time.time)


def _keep_running(work: Coroutine[Any, Any, Any], stack: AsyncExitStack) -> None:
    """A task that must not end before the server does."""
    task = asyncio.create_task(work)
    task.add_done_callback(_report_end)

    async def stop() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(stop)


def _report_end(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.critical("a watch has died, so the server stops", exc_info=error)
        signal.raise_signal(signal.SIGTERM)
