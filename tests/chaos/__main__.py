"""`make chaos`: a run of many documents while workers, operator, Redis and PostgreSQL are killed, one a second.

The same run without faults says how many chunks there are to be and how fast. With `--mutant`, the workers lack one of
their walls: then the checker must find something, or it proves nothing.
"""

import argparse
import asyncio
import contextlib
import io
import itertools
import json
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path

import asyncpg

from dreamhub import names
from dreamhub.domain.job_input import InputDocument
from dreamhub.domain.keys import DataKeys
from dreamhub.errors import UnavailableError
from dreamhub.sql.connections import Pool, translate_failures
from dreamhub.sql.logins import set_login
from dreamhub.sql.migrate import load_migrations, migrate_up
from dreamhub.sql.pool import PoolOptions, open_pool
from dreamhub.sql.tenants import build_scram_verifier, provision_tenant
from dreamhub.storage.redis_acl import digest_password
from tests.chaos.checker import Verdict, check
from tests.chaos.mortal import Mortal, postgres_command, redis_command
from tests.chaos.mutants import CHUNKS_A_DOCUMENT, MUTANTS
from tests.integration.conftest import MIGRATIONS, Database, TenantLogin, bootstrap
from tests.integration.servers import pick_port, run_postgres, temporary_folder
from tests.integration.worker.support import Mount, Rig, run_object_server

WORKERS = 2
OUTPUT = Path("build/chaos.json")


@dataclass(frozen=True)
class Result:
    seconds: float
    chunks: int
    kills: dict[str, int]
    verdict: Verdict


@dataclass
class Stage:
    """Servers, a tenant and its documents."""

    database: Database
    postgres: Mortal
    redis: Mortal
    redis_password: str
    rig: Rig
    folder: Path


@contextlib.asynccontextmanager
async def open_stage(folder: Path) -> AsyncIterator[Stage]:
    """Makes the database once by the tests' own means, then runs it as a mortal."""
    home = folder / "postgres"
    home.mkdir(mode=0o755)
    with run_postgres(home) as server:
        database = Database(server, secrets.token_hex(8))
        await bootstrap(server, database.password)
        owner = await asyncpg.connect(database.url("dreamhub_owner"))
        await migrate_up(owner, load_migrations(MIGRATIONS), io.StringIO())
        await owner.close()
        login = await _make_tenant(database)
    port, password, user = pick_port(), secrets.token_hex(8), secrets.token_hex(8)
    postgres = Mortal("postgres", postgres_command(home / "data", server.port), folder / "pg.log", port=server.port)
    redis = Mortal("redis", redis_command(folder, port, password), folder / "redis.log", port=port)
    keeping = [asyncio.create_task(server.keep()) for server in (postgres, redis)]
    await asyncio.gather(postgres.ready(), redis.ready())
    url = f"redis://{names.redis_user(login.tenant)}:{user}@127.0.0.1:{port}/0"
    async with run_object_server() as objects:
        pool = await _open_pool(login.url)
        yield Stage(database, postgres, redis, password, Rig(login, url, pool, objects, folder), folder)
        await pool.close()
    for task in keeping:
        task.cancel()
    await asyncio.gather(*keeping, return_exceptions=True)
    for mortal in (postgres, redis):
        mortal.kill()


async def _open_pool(url: str) -> Pool:
    """A server listens before it is up."""
    while True:
        try:
            return await open_pool(url, PoolOptions(maximum=2))
        except UnavailableError:
            await asyncio.sleep(0.2)


async def _make_tenant(database: Database) -> TenantLogin:
    operator = await asyncpg.connect(database.url("dreamhub_operator"))
    tenant, password = f"t-{secrets.token_hex(6)}", secrets.token_hex(16)
    await provision_tenant(operator, tenant)
    await set_login(operator, tenant, "a", build_scram_verifier(password))
    await operator.close()
    return TenantLogin(tenant, database.tenant_url(tenant, "a", password), DataKeys.generate())


async def upload(rig: Rig, documents: int) -> list[InputDocument]:
    """Every paragraph is a chunk."""
    found = []
    for number in range(documents):
        paragraphs = (f"Paragraph {n} of {number}: " + "the river rises. " * 50 for n in range(CHUNKS_A_DOCUMENT))
        found.append(await rig.upload(f"{number}.txt", "\n\n".join(paragraphs).encode()))
    return found


async def run_once(stage: Stage, mount: Mount, *, faults: int, mutant: str | None = None) -> dict[str, int]:
    """To the run's end, with so many kills, one a second."""
    command = [sys.executable, "-m", *(("tests.chaos.mutants", mutant) if mutant else ("dreamhub_worker",))]
    workers = [
        Mortal(f"worker {n}", command, stage.folder / f"w{n}.log", mount.environment | {"JOB_COMPLETION_INDEX": str(n)})
        for n in range(WORKERS)
    ]
    keeper = Mortal(
        "operator", [sys.executable, "-m", "tests.chaos.keeper"], stage.folder / "keeper.log", _surround(stage, mount)
    )
    keeping = asyncio.create_task(keeper.keep())
    working = [asyncio.create_task(worker.keep()) for worker in workers]
    killing = asyncio.create_task(_kill([*workers, keeper, stage.redis, stage.postgres], faults))
    await asyncio.gather(*working)
    for task in (killing, keeping):
        task.cancel()
    await asyncio.gather(killing, keeping, return_exceptions=True)
    keeper.kill()
    return {mortal.name: mortal.kills for mortal in (*workers, keeper, stage.redis, stage.postgres)}


def _surround(stage: Stage, mount: Mount) -> dict[str, str]:
    password = stage.rig.redis_url.split(":")[2].split("@")[0]
    return {
        "CHAOS_TENANT": stage.rig.tenant.tenant,
        "CHAOS_RUN": mount.job.uid,
        "CHAOS_REDIS": f"redis://default:{stage.redis_password}@127.0.0.1:{stage.redis.port}/0",
        "CHAOS_DIGEST": digest_password(password),
        "CHAOS_DATABASE": stage.database.url("dreamhub_operator"),
    }


async def _kill(victims: list[Mortal], faults: int) -> None:
    turns = itertools.cycle(victims)
    for number in range(faults):
        await asyncio.sleep(1)
        victim = next(turns)
        if victim.name.startswith("worker") and number % 3 == 2 and victim.process and victim.process.poll() is None:
            victim.process.send_signal(signal.SIGSTOP)
            asyncio.get_running_loop().call_later(2.0, victim.process.send_signal, signal.SIGCONT)
        victim.kill()


async def measure(options: argparse.Namespace, *, faults: int, mutant: str | None = None) -> Result:
    documents = max(1, options.chunks // CHUNKS_A_DOCUMENT)
    with temporary_folder() as folder:
        async with open_stage(folder) as stage:
            mount = stage.rig.mount(*await upload(stage.rig, documents), parallelism=WORKERS)
            mount.environment["DREAMHUB_PATIENCE_SECONDS"] = "120"
            begun = time.monotonic()
            async with asyncio.timeout(options.limit):
                kills = await run_once(stage, mount, faults=faults, mutant=mutant)
            seconds = time.monotonic() - begun
            verdict = await judge(stage, documents)
    return Result(round(seconds, 1), documents * CHUNKS_A_DOCUMENT, kills, verdict)


async def judge(stage: Stage, documents: int) -> Verdict:
    """As soon as the database is back from its last kill."""
    while True:
        try:
            with translate_failures():
                conn = await asyncpg.connect(stage.rig.tenant.url)
        except UnavailableError:
            await asyncio.sleep(0.2)
            continue
        verdict = await check(conn, documents, documents * CHUNKS_A_DOCUMENT)
        await conn.close()
        return verdict


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.chaos")
    parser.add_argument("--chunks", type=int, default=50_000)
    parser.add_argument("--faults", type=int, default=60, help="kills, one a second")
    parser.add_argument("--limit", type=int, default=1_800, help="seconds that one run may take")
    parser.add_argument("--mutant", choices=MUTANTS)
    options = parser.parse_args()
    if options.mutant:
        found = asyncio.run(measure(options, faults=options.faults, mutant=options.mutant))
        print(json.dumps(asdict(found), indent=2))
        return int(found.verdict.good)
    calm = asyncio.run(measure(options, faults=0))
    stormy = asyncio.run(measure(options, faults=options.faults))
    ratio = calm.seconds / stormy.seconds
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    report = {"calm": asdict(calm), "stormy": asdict(stormy), "throughput_ratio": round(ratio, 3)}
    OUTPUT.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))
    return int(not (calm.verdict.good and stormy.verdict.good))


if __name__ == "__main__":
    sys.exit(main())
