"""What the benchmarks without a cluster share: real servers, a tenant, and the worker as the process it is in a pod."""

import asyncio
import hashlib
import io
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from dreamhub import names
from dreamhub.domain.job_input import Build, InputDocument, JobInput
from dreamhub.domain.keys import DataKeys
from dreamhub.domain.media_types import claimed_type
from dreamhub.domain.progress import Progress
from dreamhub.ids import new_id
from dreamhub.llm.models import BUILTIN_EMBEDDING
from dreamhub.sql.connections import Pool
from dreamhub.sql.documents import NewUpload, register_upload
from dreamhub.sql.logins import build_url, set_login
from dreamhub.sql.migrate import load_migrations, migrate_up
from dreamhub.sql.pool import PoolOptions, open_pool
from dreamhub.sql.runs import fetch_run
from dreamhub.sql.tenants import build_scram_verifier, provision_tenant
from dreamhub.storage.objects import ObjectStore, ObjectStoreSettings
from tests.bench.process import BenchmarkError, Finished, python, run_measured
from tests.integration.conftest import MIGRATIONS, Database, bootstrap
from tests.integration.operator.deployment import Stores
from tests.integration.servers import RedisServer, run_postgres, run_redis, run_s3, temporary_folder

SAMPLES = Path(__file__).parents[2] / "manifests" / "samples" / "documents"


@dataclass(frozen=True, slots=True)
class Tenant:
    """A provisioned tenant and its worker's pool."""

    name: str
    url: str
    keys: DataKeys
    pool: Pool


@dataclass(frozen=True, slots=True)
class WorkerRun:
    process: Finished
    progress: Progress


@dataclass(frozen=True, slots=True)
class Environment:
    folder: Path
    superuser_url: str
    stores: Stores
    """What services log in to."""
    redis: RedisServer
    store: ObjectStore
    tenant: Tenant

    async def upload(self, name: str, data: bytes) -> InputDocument:
        """Store and register a document as the API server does; returns the worker's order for it."""
        document, version = new_id("doc"), new_id("ver")
        key = names.object_key(self.tenant.name, version)
        await self.store.put(key, data)
        upload = NewUpload(
            document_id=document,
            version_id=version,
            name=name,
            media_type=claimed_type(name, "") or "text/plain",
            size=len(data),
            sha256=hashlib.sha256(data).digest(),
        )
        async with self.tenant.pool.acquire() as conn:
            registered = await register_upload(conn, self.tenant.keys, upload)
        url = await self.store.presign_get(key, 3600)
        return InputDocument(document_id=registered.document_id, version_id=registered.version_id, url=url)

    async def run_worker(self, documents: Sequence[InputDocument], *, core: int = 0) -> WorkerRun:
        """One job over these documents in a worker process of its own, confined to one core."""
        job = self._order(documents)
        process = run_measured(python("dreamhub_worker"), self._mount(job), core=core)
        return WorkerRun(process, await self._read_progress(job, process.output))

    async def run_workers(self, documents: Sequence[InputDocument], workers: int) -> tuple[float, Progress]:
        """One job over these documents in so many worker processes, on all cores. Seconds until the last one ended."""
        job = self._order(documents, parallelism=workers)
        mounted = self._mount(job)
        started = time.monotonic()
        finished = await asyncio.gather(
            *(
                asyncio.to_thread(
                    run_measured, python("dreamhub_worker"), {**mounted, "JOB_COMPLETION_INDEX": str(index)}, core=None
                )
                for index in range(workers)
            )
        )
        seconds = time.monotonic() - started
        return seconds, await self._read_progress(job, finished[0].output)

    def _order(self, documents: Sequence[InputDocument], parallelism: int = 1) -> JobInput:
        return JobInput(
            tenant=self.tenant.name,
            job="bench",
            uid=str(uuid.uuid4()),
            build=Build(name="bench"),
            embedding_model=BUILTIN_EMBEDDING,
            documents=tuple(documents),
            parallelism=parallelism,
        )

    async def _read_progress(self, job: JobInput, output: str) -> Progress:
        async with self.tenant.pool.acquire() as conn:
            run = await fetch_run(conn, job.uid)
        if run is None or run.progress.state != "Succeeded":
            raise BenchmarkError(f"the worker's run did not succeed:\n{output[-2_000:]}")
        return run.progress

    def _mount(self, job: JobInput) -> dict[str, str]:
        """The two folders that a pod mounts; returns the worker's environment."""
        mounted = self.folder / job.uid
        mounted.mkdir()
        (mounted / "job.json").write_text(job.model_dump_json(by_alias=True))
        (mounted / "database-url").write_text(self.tenant.url)
        (mounted / "redis-url").write_text(self.redis.url())
        (mounted / "keys.json").write_text(self.tenant.keys.dump())
        return {"DREAMHUB_JOB_DIR": str(mounted), "DREAMHUB_CREDENTIALS_DIR": str(mounted)}


@asynccontextmanager
async def open_environment() -> AsyncIterator[Environment]:
    """PostgreSQL, Redis and S3 for one benchmark run, bootstrapped as in production, with one tenant."""
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        postgres = stack.enter_context(run_postgres(stack.enter_context(temporary_folder())))
        redis = stack.enter_context(run_redis(stack.enter_context(temporary_folder())))
        s3 = stack.enter_context(run_s3(stack.enter_context(temporary_folder())))
        settings = ObjectStoreSettings(s3.endpoint, "dreamhub", "us-east-1", s3.access_key, s3.secret_key)
        store = ObjectStore(settings)
        await store.ensure_bucket()
        password, login = secrets.token_hex(16), "bench"
        await bootstrap(postgres, password)
        owner = await asyncpg.connect(postgres.url("dreamhub_owner", password))
        await migrate_up(owner, load_migrations(MIGRATIONS), io.StringIO())
        await owner.close()
        operator = await asyncpg.connect(postgres.url("dreamhub_operator", password))
        await provision_tenant(operator, login)
        await set_login(operator, login, "a", build_scram_verifier(password))
        await operator.close()
        url = build_url(f"127.0.0.1:{postgres.port}/dreamhub", login, "a", password)
        pool = await open_pool(url, PoolOptions(maximum=4))
        stores = Stores(Database(postgres, password), redis, settings)
        tenant = Tenant(login, url, DataKeys.generate(), pool)
        yield Environment(folder, postgres.superuser_url, stores, redis, store, tenant)
        await pool.close()
