"""Two tenants that work at the same time through one small pool, and a model of what each of them must see."""

import os
import secrets
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

import asyncpg
from redis import exceptions
from redis.asyncio import Redis

from dreamhub import names
from dreamhub.domain.keys import DataKeys
from dreamhub.domain.progress import Progress
from dreamhub.domain.terms import TermIndex
from dreamhub.errors import ForbiddenError, NotFoundError, QuotaExceededError, UnavailableError
from dreamhub.sql import documents, runs
from dreamhub.sql.connections import Connection, Pool
from dreamhub.sql.ingest import NewRun, RunDocument, activate_version, start_run
from dreamhub.sql.logins import end_login, set_login
from dreamhub.sql.pool import PoolOptions, open_pool, tenant_transaction
from dreamhub.sql.quota import Limits, set_limits
from dreamhub.sql.search import SearchQuery, search
from dreamhub.sql.tenants import build_scram_verifier, provision_tenant
from dreamhub.sql.work_items import NewItem, enqueue, settle_item
from dreamhub.storage.functions import load_functions
from dreamhub.storage.progress import Snapshot, publish, read_since
from dreamhub.storage.redis_acl import delete_tenant_user, digest_password, set_tenant_user
from tests.integration.conftest import Database
from tests.integration.isolation.plants import TABLES
from tests.integration.servers import RedisServer
from tests.integration.sql.support import File, claim, embed, store

CUT = (UnavailableError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""How a connection that somebody ended shows at its next use."""

WORDS = ("ledger", "valve", "harbour", "quartz", "meadow")
"""Both tenants write of the same things under the same names: only the marker tells whose text it is."""


@dataclass
class Doc:
    """A document as its tenant knows it."""

    name: str
    texts: tuple[str, ...]
    version: str
    shown: tuple[str, ...] = ()


@dataclass
class Side:
    """One tenant: its logins, and what it must see."""

    tenant: str
    keys: DataKeys
    marker: str
    slot: names.LoginSlot = "a"
    password: str = ""
    docs: dict[str, Doc] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)
    """UID of a run -> the document that it recorded."""
    progress: dict[str, int] = field(default_factory=dict)
    limit: int | None = None
    suspended: bool = False
    worker: "Pool | None" = None

    @property
    def role(self) -> str:
        return names.database_role(self.tenant)

    @property
    def may_add(self) -> bool:
        return not self.suspended and (self.limit is None or len(self.docs) < self.limit)


class World:
    """Every method is one thing that somebody does, checked against the model of both."""

    def __init__(self, database: Database, redis_server: RedisServer) -> None:
        self._database = database
        self._redis_server = redis_server
        self._stack = AsyncExitStack()
        self._held: tuple[Side, Connection, AsyncExitStack] | None = None
        self.sides = [
            Side(f"m-{secrets.token_hex(5)}", DataKeys.generate(), f"mark{word}{secrets.token_hex(3)}")
            for word in ("alpha", "omega")
        ]

    async def open(self) -> None:
        self._admin = await self._connect(self._database.server.superuser_url)
        self._operator = await self._connect(self._database.url("dreamhub_operator"))
        self._redis = Redis.from_url(self._redis_server.url())
        self._stack.push_async_callback(self._redis.aclose)
        await load_functions(self._redis)
        self._api = await open_pool(self._database.url("dreamhub_api"), PoolOptions(minimum=1, maximum=2))
        for side in self.sides:
            await provision_tenant(self._operator, side.tenant)
            await self.rotate_login(side)

    async def close(self) -> None:
        """Terminates rather than closes: a pool whose connection was lost would wait for it."""
        await self.end_held(commit=False)
        self._api.terminate()
        for side in self.sides:
            if side.worker is not None:
                side.worker.terminate()
            await delete_tenant_user(self._redis, side.tenant)
        await self._stack.aclose()

    async def _connect(self, url: str) -> Connection:
        conn = await asyncpg.connect(url)
        self._stack.push_async_callback(conn.close)
        return conn

    def other(self, side: Side) -> Side:
        return self.sides[1 - self.sides.index(side)]

    # What a tenant does through the API.

    @asynccontextmanager
    async def _as(self, side: Side, *, readonly: bool = False) -> AsyncIterator[Connection]:
        """A connection that somebody cut shows at its first use: then again, as a caller would."""
        for last in (False, False, False, True):
            stack = AsyncExitStack()
            try:
                conn = await stack.enter_async_context(tenant_transaction(self._api, side.tenant, readonly=readonly))
                await conn.fetchval("SELECT 1")
            except CUT:
                with suppress(*CUT):
                    await stack.aclose()
                if last:
                    raise
                continue
            async with stack:
                yield conn
            return

    async def upload(self, side: Side, name: str, word: str) -> None:
        texts = tuple(f"{side.marker} {word} {number} {secrets.token_hex(2)}" for number in range(2))
        known = next((found for found, doc in side.docs.items() if doc.name == name), None)
        try:
            async with self._as(side) as conn:
                outcome = await documents.register_upload(conn, side.keys, File(name, texts).upload())
        except (QuotaExceededError, ForbiddenError):
            assert side.suspended or (known is None and not side.may_add), "refused although there was room"
            return
        assert not side.suspended
        assert known is not None or side.may_add, "let in although there was no room"
        assert not outcome.duplicate, "another tenant's bytes count as one's own"
        if known is None:
            side.docs[outcome.document_id] = Doc(name, texts, outcome.version_id)
        else:
            assert outcome.document_id == known
            side.docs[known].texts, side.docs[known].version = texts, outcome.version_id

    async def search(self, side: Side, asked: Side, word: str) -> None:
        text = f"{asked.marker} {word}"
        terms = TermIndex(side.keys).query(text)
        async with self._as(side, readonly=True) as conn:
            hits = await search(conn, side.keys, SearchQuery(embed(text), terms, 0.5, limit=50))
        shown = {(found, text) for found, doc in side.docs.items() for text in doc.shown}
        assert {(hit.document_id, hit.text) for hit in hits} == shown if len(shown) <= 50 else len(hits) == 50
        assert not [hit for hit in hits if self.other(side).marker in hit.text]

    async def list_all(self, side: Side) -> None:
        async with self._as(side, readonly=True) as conn:
            await self._check_listing(side, conn)

    async def _check_listing(self, side: Side, conn: Connection) -> None:
        page = await documents.list_documents(conn, side.keys, limit=200)
        assert {item.id: item.name for item in page.items} == {found: doc.name for found, doc in side.docs.items()}

    async def ask_for_foreign(self, side: Side, at: int) -> None:
        """Reading, listing and deleting by an id that is the other's."""
        theirs = list(self.other(side).docs)
        if not theirs:
            return
        async with self._as(side) as conn:
            for refused in (
                documents.fetch_document(conn, side.keys, theirs[at % len(theirs)]),
                documents.list_chunks(conn, side.keys, theirs[at % len(theirs)]),
                documents.list_versions(conn, theirs[at % len(theirs)]),
                documents.delete_document(conn, theirs[at % len(theirs)]),
            ):
                try:
                    await refused
                except NotFoundError:
                    continue
                raise AssertionError("a foreign document was found")
            for run in self.other(side).runs:
                assert await runs.fetch_run(conn, run) is None

    async def read(self, side: Side, at: int) -> None:
        if side.docs:
            found = list(side.docs)[at % len(side.docs)]
            async with self._as(side, readonly=True) as conn:
                page = await documents.list_chunks(conn, side.keys, found)
            assert tuple(chunk.text for chunk in page.items) == side.docs[found].shown

    async def delete(self, side: Side, at: int) -> None:
        if side.docs:
            gone = list(side.docs)[at % len(side.docs)]
            async with self._as(side) as conn:
                await documents.delete_document(conn, gone)
            del side.docs[gone]

    # What its worker does.

    @asynccontextmanager
    async def _worker(self, side: Side) -> AsyncIterator[Connection]:
        assert side.worker is not None
        for last in (False, False, False, True):
            conn = await side.worker.acquire()
            try:
                await conn.fetchval("SELECT 1")
            except CUT:
                with suppress(*CUT):
                    await side.worker.release(conn)
                if last:
                    raise
                continue
            try:
                yield conn
            finally:
                await side.worker.release(conn)
            return

    async def land(self, side: Side, at: int, *, finish: bool) -> None:
        """One document's ingestion; when it is not finished, nobody may see anything of it."""
        waiting = [(found, doc) for found, doc in side.docs.items() if doc.shown != doc.texts]
        if not waiting:
            return
        found, doc = waiting[at % len(waiting)]
        async with self._worker(side) as conn:
            claimed = await claim(conn, side.keys, doc.version)
            file = File(doc.name, doc.texts)
            if claimed.next_ordinal < len(doc.texts):
                await store(conn, side.keys, claimed, file.chunks(claimed.next_ordinal))
            if finish:
                await activate_version(conn, claimed, pages=1, chunks=len(doc.texts))
                side.docs[found].shown = doc.texts

    async def run_job(self, side: Side, at: int) -> None:
        if side.docs:
            found, uid = list(side.docs)[at % len(side.docs)], str(uuid.uuid4())
            async with self._worker(side) as conn:
                run = (await start_run(conn, NewRun(uid, "job", "1.0", "pod", 1))).run
                version = side.docs[found].version
                await enqueue(conn, run, [NewItem(version, found)])
                await settle_item(conn, run, version, RunDocument(found, version, "Done"))
            side.runs[uid] = found
            async with self._as(side, readonly=True) as conn:
                page = await runs.list_run_documents(conn, uid)
            assert [item.document_id for item in page.items] == [found]

    async def tell_progress(self, side: Side, percent: int) -> None:
        """Its own, and then the other's: the first arrives, the second is refused."""
        user = self._redis_server.url(names.redis_user(side.tenant), side.password)
        async with Redis.from_url(user) as redis:
            await publish(redis, side.tenant, "job", Progress(percent=percent))
            side.progress["job"] = percent
            try:
                await publish(redis, self.other(side).tenant, "job", Progress(percent=percent))
            except (UnavailableError, exceptions.ResponseError) as error:
                if "no permission" not in str(error):
                    raise
            else:
                raise AssertionError("wrote into the other's stream")
        for each in self.sides:
            found = await read_since(self._redis, each.tenant, "job", None)
            seen = found.progress.percent if isinstance(found, Snapshot) and found.progress else None
            assert seen == each.progress.get("job")

    # What the platform does, and what goes wrong.

    async def switch_roles(self) -> None:
        """Both tenants in one transaction on one connection, in turn, and neither at its end."""
        first, second = self.sides
        async with self._as(first) as conn:
            for side in (first, second, first, second):
                await conn.execute(f'SET LOCAL ROLE "{side.role}"')
                await self._check_listing(side, conn)
                await self._check_tables(side, conn)

    async def leave_role_behind(self, side: Side) -> None:
        """Somebody takes a role for the session and gives the connection back: the next one must not have it."""
        try:
            async with self._api.acquire() as conn:
                await conn.execute(f'SET ROLE "{side.role}"')
            async with self._api.acquire() as conn:
                assert await conn.fetchval("SELECT current_user") == "dreamhub_api"
        except CUT:
            return  # by an earlier step

    async def forget_role(self) -> None:
        """No tenant: an error, never rows."""
        try:
            async with self._api.acquire() as conn:
                await conn.fetch("SELECT * FROM documents")
        except CUT:  # among them: no such table, no such right
            return
        raise AssertionError("rows without a tenant")

    async def cut(self, login: str) -> None:
        """Every connection of a login ends, wherever it is."""
        await self._admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", login)

    async def cut_worker(self, side: Side) -> None:
        await self.cut(names.database_login(side.tenant, side.slot))

    async def limit(self, side: Side, room: int | None, *, suspended: bool) -> None:
        side.limit = None if room is None else len(side.docs) + room
        side.suspended = suspended
        await set_limits(self._operator, side.tenant, Limits(documents=side.limit), suspended=suspended)

    async def rotate_login(self, side: Side) -> None:
        """The other slot becomes the login, and the one before ends with its sessions."""
        before, side.slot = side.slot, "b" if side.slot == "a" else "a"
        side.password = secrets.token_hex(8)
        await set_login(self._operator, side.tenant, side.slot, build_scram_verifier(side.password))
        await end_login(self._operator, side.tenant, before)
        await set_tenant_user(self._redis, side.tenant, [digest_password(side.password)])
        if side.worker is not None:
            side.worker.terminate()
        url = self._database.tenant_url(side.tenant, side.slot, side.password)
        side.worker = await open_pool(url, PoolOptions(minimum=0, maximum=2))

    def rotate_key(self, side: Side) -> None:
        """What was written before stays readable; what comes is under the new key."""
        name = str(len(side.keys.keys) + 1)
        side.keys = DataKeys(name, {**side.keys.keys, name: os.urandom(32)}, side.keys.index)

    async def hold(self, side: Side) -> None:
        """Open a transaction and keep it over other steps, so that the pool lends the other connection."""
        await self.end_held(commit=False)
        stack = AsyncExitStack()
        try:
            conn = await stack.enter_async_context(self._as(side, readonly=True))
        except CUT:
            return
        self._held = (side, conn, stack)

    async def look_again(self) -> None:
        """In the transaction that is held: still one's own rows."""
        if self._held is not None:
            side, conn, _ = self._held
            try:
                await self._check_listing(side, conn)
                await self._check_tables(side, conn)
            except CUT:
                await self.end_held(commit=False)

    async def end_held(self, *, commit: bool) -> None:
        if self._held is not None:
            _, _, stack = self._held
            self._held = None
            error = None if commit else ZeroDivisionError()
            try:
                await stack.__aexit__(type(error) if error else None, error, None)
            except (ZeroDivisionError, *CUT):
                return

    async def check_rows(self, side: Side) -> None:
        """Whose rows stand in each table, as the API and as the worker sees them."""
        async with self._as(side, readonly=True) as conn:
            await self._check_tables(side, conn)
        async with self._worker(side) as conn:
            await self._check_tables(side, conn)

    async def _check_tables(self, side: Side, conn: Connection) -> None:
        parts = [f"SELECT DISTINCT '{table}' AS place, tenant_id FROM {table}" for table in TABLES]
        rows = await conn.fetch(" UNION ALL ".join(parts))
        assert {row["tenant_id"] for row in rows} <= {side.tenant}
