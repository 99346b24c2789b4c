"""Limits and usage: counted and refused by the database, whoever asks and however many at once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import pytest
import pytest_asyncio

from dreamhub.domain.progress import DocumentError
from dreamhub.errors import (
    CapacityExceededError,
    ConflictError,
    FencedError,
    ForbiddenError,
    NotFoundError,
    QuotaExceededError,
)
from dreamhub.sql.connections import Connection, Pool, translate_failures
from dreamhub.sql.documents import delete_document, fetch_document, register_upload
from dreamhub.sql.landing import ClaimedVersion, activate_version, claim_version, ensure_generation, fail_version
from dreamhub.sql.pool import PoolOptions, open_pool, tenant_transaction
from dreamhub.sql.quota import (
    Limits,
    QuotaUsage,
    TokenUse,
    admit_jobs,
    fetch_admissions,
    fetch_usage,
    give_up_place,
    release_jobs,
    reserve_place,
    set_limits,
    use_tokens,
)
from tests.integration.conftest import Database, TenantLogin
from tests.integration.sql.support import CLAIM, SPACE, File, claim, connected, ingest, patient, store

T = TypeVar("T")

RACERS = 50
ROOM = 7
QUESTION = TokenUse("test/model", "search", 10)
ERROR = DocumentError(document="doc_x", error_class="Permanent", reason="EncryptedPDF", message="locked")


async def usage_of(conn: Connection, tenant: TenantLogin) -> QuotaUsage:
    return (await fetch_usage(conn, [tenant.tenant]))[tenant.tenant]


def page(number: int, chunks: int = 3) -> File:
    """Each of another content and the same size."""
    return File(f"{number:03}.md", tuple(f"page {number:03}, part {part}" for part in range(chunks)))


# Races

Attempt = Callable[[Connection, TenantLogin, int], Awaitable[object]]


@pytest_asyncio.fixture(scope="module")
async def crowd(database: Database) -> AsyncIterator[Pool]:
    """Fifty connections of the API's login, all open."""
    pool = await open_pool(database.url("dreamhub_api"), PoolOptions(minimum=RACERS, maximum=RACERS))
    yield pool
    await pool.close()


async def store_chunks(conn: Connection, tenant: TenantLogin, number: int) -> None:
    outcome = await register_upload(conn, tenant.keys, page(number).upload())
    await store(conn, tenant.keys, await claim(conn, tenant.keys, outcome.version_id), page(number).chunks())


async def ask(conn: Connection, _tenant: TenantLogin, _number: int) -> None:
    await use_tokens(conn, QUESTION)


async def queue(conn: Connection, _tenant: TenantLogin, number: int) -> None:
    assert await reserve_place(conn, f"job-{number}")


async def register(conn: Connection, tenant: TenantLogin, number: int) -> None:
    await register_upload(conn, tenant.keys, page(number).upload())


SIZE = page(0).upload().size


@dataclass(frozen=True)
class Case:
    """Each attempt takes `step` of what `limits` leave room for `ROOM` times."""

    attempt: Attempt
    limits: Limits
    quota: str
    step: int


CASES = (
    Case(register, Limits(documents=ROOM), "documents", 1),
    Case(register, Limits(storage_bytes=ROOM * SIZE + SIZE - 1), "storage", SIZE),
    Case(store_chunks, Limits(chunks=ROOM * 3 + 2), "chunks", 3),
    Case(ask, Limits(tokens_per_day=ROOM * 10 + 9), "tokensPerDay", 10),
    Case(ask, Limits(tokens_per_month=ROOM * 10), "tokensPerMonth", 10),
    Case(queue, Limits(queued_jobs=ROOM), "queuedJobs", 1),
)


@pytest.mark.parametrize("case", CASES, ids=[case.quota for case in CASES])
async def test_a_limit_lets_exactly_so_many_through(
    tenant: TenantLogin, crowd: Pool, operator_connection: Connection, case: Case
) -> None:
    await set_limits(operator_connection, tenant.tenant, case.limits, suspended=False)

    async def run(number: int) -> QuotaExceededError | None:
        try:
            async with tenant_transaction(crowd, tenant.tenant) as conn:
                await case.attempt(conn, tenant, number)
        except QuotaExceededError as refusal:
            return refusal
        return None

    outcomes = await asyncio.gather(*(run(number) for number in range(RACERS)))
    refusals = [refusal.figures for refusal in outcomes if refusal is not None]
    assert len(refusals) == RACERS - ROOM
    found = {(figures.quota, figures.used, figures.requested) for figures in refusals}
    assert found == {(case.quota, ROOM * case.step, case.step)}
    await counts_hold(operator_connection, crowd, tenant)


async def counts_hold(operator: Connection, pool: Pool, tenant: TenantLogin) -> None:
    """The usage is what counting the rows gives."""
    usage = await usage_of(operator, tenant)
    async with tenant_transaction(pool, tenant.tenant, readonly=True) as conn:
        counted = await conn.fetchrow(
            "SELECT (SELECT count(*) FROM documents), (SELECT count(*) FROM chunks), "
            "(SELECT coalesce(sum(size_bytes), 0)::bigint FROM document_versions), "
            "(SELECT coalesce(sum(tokens), 0)::bigint FROM token_uses), (SELECT count(*) FROM job_admissions)"
        )
    assert counted is not None
    told = (usage.documents, usage.chunks, usage.storage_bytes, usage.tokens_month, usage.queued_jobs)
    assert told == tuple(counted)


# Exactness


class Walk:
    """Random work on the documents of one tenant, as its worker and the API do it; a step may be rolled back."""

    def __init__(self, conn: Connection, tenant: TenantLogin, seed: int) -> None:
        self.conn = conn
        self.tenant = tenant
        self.random = np.random.default_rng(seed)
        self.documents: dict[str, str] = {}
        self.claimed: ClaimedVersion | None = None
        self.stored = 0

    def pick(self, below: int) -> int:
        return int(self.random.integers(below))

    def pick_one(self, choices: Collection[T]) -> T:
        return tuple(choices)[self.pick(len(choices))]

    async def step(self) -> None:
        work = self.pick_one(
            (self.upload, self.upload, self.land, self.land, self.show, self.show, self.fail, self.delete)
        )
        if self.pick(5) == 0:
            before = dict(self.documents), self.claimed, self.stored
            with suppress(ZeroDivisionError):
                async with self.conn.transaction():
                    await work()
                    raise ZeroDivisionError
            self.documents, self.claimed, self.stored = before
        else:
            await work()

    async def upload(self) -> None:
        """A new document, a further version of one, or the same bytes again."""
        file = replace(page(self.pick(4)), texts=tuple(f"take {self.pick(3)}" for _ in range(4)))
        outcome = await register_upload(self.conn, self.tenant.keys, file.upload())
        self.documents[outcome.document_id] = outcome.version_id

    async def land(self) -> None:
        """Claim some version, perhaps one that is shown, and store a part; by another build, from the start again."""
        if not self.documents:
            return
        version = self.pick_one(sorted(self.documents.values()))
        wanted = replace(CLAIM, force=True, build=self.pick_one(("1.0", "2.0")))
        self.claimed = await claim(self.conn, self.tenant.keys, version, wanted)
        self.stored = self.claimed.next_ordinal
        part = page(0, chunks=8).chunks()[self.stored : self.stored + 1 + self.pick(3)]
        if part:
            self.stored = await store(self.conn, self.tenant.keys, self.claimed, part)

    async def show(self) -> None:
        if self.claimed is not None:
            await activate_version(self.conn, self.claimed, pages=1, chunks=self.stored)
            self.claimed = None

    async def fail(self) -> None:
        if self.claimed is not None:
            await fail_version(self.conn, self.claimed, ERROR)
            self.claimed = None

    async def delete(self) -> None:
        if self.documents:
            document = self.pick_one(sorted(self.documents))
            await delete_document(self.conn, document)
            if self.claimed is not None and self.claimed.document_id == document:
                self.claimed = None
            del self.documents[document]


@pytest.mark.parametrize("seed", range(4))
async def test_usage_is_what_the_rows_say_after_any_work(
    tenant: TenantLogin, tenant_pool: Pool, api_pool: Pool, operator_connection: Connection, seed: int
) -> None:
    async with tenant_pool.acquire() as conn:
        walk = Walk(conn, tenant, seed)
        for _ in range(40):
            await walk.step()
            await counts_hold(operator_connection, api_pool, tenant)


async def test_many_hands_never_wait_for_each_other_in_a_ring(
    tenant: TenantLogin, crowd: Pool, api_pool: Pool, operator_connection: Connection
) -> None:
    """Uploads, landings, replacements and deletions of the same few documents meet; a deadlock would be raised."""
    async with tenant_transaction(crowd, tenant.tenant) as conn:
        generation = await ensure_generation(conn, SPACE)

    async def work(seed: int) -> int:
        choice, done = np.random.default_rng(seed), 0
        for _ in range(12):
            file = replace(page(int(choice.integers(3))), texts=tuple(f"{choice.integers(99)}" for _ in range(5)))
            with suppress(FencedError, NotFoundError, ConflictError):
                async with tenant_transaction(crowd, tenant.tenant) as conn:
                    outcome = await register_upload(conn, tenant.keys, file.upload())
                wanted = replace(CLAIM, version_id=outcome.version_id, generation=generation, force=True)
                async with tenant_transaction(crowd, tenant.tenant) as conn:
                    claimed = await claim_version(conn, tenant.keys, wanted)
                async with tenant_transaction(crowd, tenant.tenant) as conn:
                    if claimed.next_ordinal == 0:
                        await store(conn, tenant.keys, claimed, file.chunks())
                async with tenant_transaction(crowd, tenant.tenant) as conn:
                    await activate_version(conn, claimed, pages=1, chunks=5)
                done += 1
                if choice.integers(4) == 0:
                    async with tenant_transaction(crowd, tenant.tenant) as conn:
                        await delete_document(conn, outcome.document_id)
        return done

    done = await asyncio.gather(*(work(seed) for seed in range(10)))
    assert sum(done) > 20
    await counts_hold(operator_connection, api_pool, tenant)


async def test_a_document_that_does_not_fit_leaves_nothing(
    tenant: TenantLogin, tenant_pool: Pool, api_pool: Pool, operator_connection: Connection
) -> None:
    await set_limits(operator_connection, tenant.tenant, Limits(chunks=5), suspended=False)
    async with tenant_pool.acquire() as conn:
        kept = await ingest(conn, tenant.keys, page(1))
        outcome = await register_upload(conn, tenant.keys, page(2).upload())
        claimed = await claim(conn, tenant.keys, outcome.version_id)
        await store(conn, tenant.keys, claimed, page(2).chunks()[:2])
        with pytest.raises(CapacityExceededError, match="limit of 5 chunks"), translate_failures():
            await store(conn, tenant.keys, claimed, page(2).chunks()[2:])
        await fail_version(conn, claimed, ERROR)
        assert (await fetch_document(conn, tenant.keys, kept.document_id)).active_version_id == kept.version_id
    assert (await usage_of(operator_connection, tenant)).chunks == 3
    await counts_hold(operator_connection, api_pool, tenant)


async def test_what_is_above_a_lowered_limit_may_still_shrink(
    tenant: TenantLogin, tenant_connection: Connection, operator_connection: Connection
) -> None:
    first = await ingest(tenant_connection, tenant.keys, page(1))
    await ingest(tenant_connection, tenant.keys, page(2))
    await set_limits(
        operator_connection, tenant.tenant, Limits(documents=1, chunks=0, storage_bytes=1), suspended=False
    )
    await delete_document(tenant_connection, first.document_id)
    with pytest.raises(CapacityExceededError) as refusal, translate_failures():
        await register_upload(tenant_connection, tenant.keys, page(3).upload())
    assert (refusal.value.figures.limit, refusal.value.figures.used) == (1, 1)


# Suspension


async def test_a_suspended_tenant_reads_and_finishes_but_begins_nothing(
    tenant: TenantLogin, tenant_connection: Connection, api_pool: Pool, operator_connection: Connection
) -> None:
    kept = await ingest(tenant_connection, tenant.keys, page(1))
    begun = await register_upload(tenant_connection, tenant.keys, page(2).upload())
    await set_limits(operator_connection, tenant.tenant, Limits(), suspended=True)
    again = replace(page(1), texts=("other content",))
    for file in (page(3), again):
        with pytest.raises(ForbiddenError) as refusal, translate_failures():
            await register_upload(tenant_connection, tenant.keys, file.upload())
        assert refusal.value.code == "TenantSuspended"
    with pytest.raises(ForbiddenError):
        async with tenant_transaction(api_pool, tenant.tenant) as conn:
            await reserve_place(conn, "job")
    assert await admit_jobs(operator_connection, tenant.tenant, {"job": "uid"}) == frozenset()
    claimed = await claim(tenant_connection, tenant.keys, begun.version_id)
    await store(tenant_connection, tenant.keys, claimed, page(2).chunks())
    await activate_version(tenant_connection, claimed, pages=1, chunks=3)
    await use_tokens(tenant_connection, QUESTION)
    await delete_document(tenant_connection, kept.document_id)
    assert (await usage_of(operator_connection, tenant)).documents == 1


# Places in the queue


async def test_the_operator_takes_up_what_the_api_reserved(
    tenant: TenantLogin, api_pool: Pool, operator_connection: Connection
) -> None:
    await set_limits(operator_connection, tenant.tenant, Limits(queued_jobs=3), suspended=False)
    async with tenant_transaction(api_pool, tenant.tenant) as conn:
        assert await reserve_place(conn, "reserved")
        assert not await reserve_place(conn, "reserved")
        assert await reserve_place(conn, "given-up")
    jobs = {"reserved": "uid-1", "by-kubectl": "uid-2", "too-many": "uid-3"}
    async with tenant_transaction(api_pool, tenant.tenant) as conn:
        await give_up_place(conn, "given-up")
    assert await admit_jobs(operator_connection, tenant.tenant, jobs) == {"reserved", "by-kubectl", "too-many"}
    assert await admit_jobs(operator_connection, tenant.tenant, {"late": "uid-4"}) == frozenset()
    async with tenant_transaction(api_pool, tenant.tenant) as conn:
        await give_up_place(conn, "reserved")
    await release_jobs(operator_connection, tenant.tenant, ["too-many", "never-was"])
    admissions = (await fetch_admissions(operator_connection, [tenant.tenant, "never-made"]))[tenant.tenant]
    assert [(place.name, place.uid) for place in admissions] == [("reserved", "uid-1"), ("by-kubectl", "uid-2")]
    assert all(place.age_seconds >= 0 for place in admissions)
    assert (await usage_of(operator_connection, tenant)).queued_jobs == 2


async def test_api_and_operator_never_give_one_place_twice(
    tenant: TenantLogin, crowd: Pool, database: Database, operator_connection: Connection
) -> None:
    """Same names from both sides at once: no deadlock, no place too many."""
    await set_limits(operator_connection, tenant.tenant, Limits(queued_jobs=10), suspended=False)
    jobs = [f"job-{number}" for number in range(20)]

    async def reserve(job: str) -> bool:
        try:
            async with tenant_transaction(crowd, tenant.tenant) as conn:
                return await reserve_place(conn, job)
        except QuotaExceededError:
            return False

    async with (
        patient(database.server.superuser_url, "admit_jobs(text,text[],text[])"),
        connected(database.url("dreamhub_operator")) as other,
    ):
        both = [admit_jobs(conn, tenant.tenant, dict.fromkeys(jobs, "uid")) for conn in (operator_connection, other)]
        *reserved, admitted, _ = await asyncio.gather(*(reserve(job) for job in jobs), *both)
    assert (await usage_of(operator_connection, tenant)).queued_jobs == 10
    assert len(await admit_jobs(operator_connection, tenant.tenant, dict.fromkeys(jobs, "uid"))) == 10
    assert admitted
    assert len(reserved) == 20


async def test_without_a_limit_there_is_room_for_every_job(
    tenant: TenantLogin, operator_connection: Connection
) -> None:
    jobs = {f"job-{number}": f"uid-{number}" for number in range(30)}
    assert await admit_jobs(operator_connection, tenant.tenant, jobs) == set(jobs)
    assert await admit_jobs(operator_connection, tenant.tenant, {}) == frozenset()


async def test_tenants_without_tables(operator_connection: Connection) -> None:
    assert await fetch_usage(operator_connection, ["never-made", "x' y"]) == {}
    assert await fetch_usage(operator_connection, []) == {}
    for name in ("never-made", "No Name"):
        with pytest.raises(NotFoundError):
            await set_limits(operator_connection, name, Limits(), suspended=False)
        with pytest.raises(NotFoundError):
            await admit_jobs(operator_connection, name, {"a": "b"})
