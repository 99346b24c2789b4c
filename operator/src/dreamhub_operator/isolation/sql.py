"""One tenant's database login tried on another's rows, roles and keys, and on the platform's."""

import io
import secrets
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from dreamhub.sql.connections import Connection
from dreamhub_operator.isolation import sql_catalogue
from dreamhub_operator.isolation.outcome import (
    Blocked,
    Inconclusive,
    Leaked,
    Outcome,
    Probe,
    blocked_unless,
    same_answer,
    undecided,
)
from dreamhub_operator.isolation.side import Side
from dreamhub_operator.isolation.sql_statements import (
    Attempt,
    Oracle,
    PeerKeys,
    Relation,
    function_attempts,
    naming_statement,
    oracles,
    role_attempts,
    table_attempts,
    wall_attempts,
)

CONNECT_SECONDS = 10.0
REFUSED = "42501"
"""insufficient_privilege"""
FOREIGN_PARTITION = "23514"
"""check_violation: the partition holds no other tenant's rows."""
_UNDECIDED = {"57014", "57P01", "40P01", "53300"}
"""Cancelled, shut down, deadlocked, too many connections: nothing is known then."""

_SETTINGS = {
    "application_name": "dreamhub-isolation-probe",
    "search_path": '"$user", public',
    "statement_timeout": "5s",
    "lock_timeout": "1s",
}
_AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


async def probe_sql(attacker: Side, victim: Side) -> list[Probe]:
    """Every attempt of the one on the other. An absent server leaves what was learned, and that it is not all."""
    probes: list[Probe] = []
    try:
        async with _login(attacker) as mine, _login(victim) as theirs:
            await _Attack(attacker, victim, mine, theirs, probes).run()
    except _AWAY as error:
        probes += undecided("sql", f"login of {attacker.tenant}", f"PostgreSQL failed ({type(error).__name__})")
    return probes


@asynccontextmanager
async def _login(side: Side) -> AsyncIterator[Connection]:
    conn = await asyncpg.connect(
        side.database_url, timeout=CONNECT_SECONDS, command_timeout=CONNECT_SECONDS, server_settings=_SETTINGS
    )
    try:
        yield conn
    finally:
        await conn.close(timeout=CONNECT_SECONDS)


@asynccontextmanager
async def _undone(conn: Connection) -> AsyncIterator[None]:
    """A transaction that leaves nothing behind, whatever went through."""
    transaction = conn.transaction()
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()


@dataclass(frozen=True)
class _Attack:
    attacker: Side
    victim: Side
    mine: Connection
    theirs: Connection
    probes: list[Probe]

    async def run(self) -> None:
        schemas = [self.victim.schema, *sql_catalogue.PLATFORM_SCHEMAS]
        foreign = await sql_catalogue.fetch_relations(self.theirs, schemas)
        own = await sql_catalogue.fetch_relations(self.mine, [self.attacker.schema])
        if not self._control(own, foreign):
            return
        await self._try_all(table_attempts(foreign, self.victim.tenant))
        await self._try_all(role_attempts(await sql_catalogue.fetch_logins(self.theirs, self.victim.role)))
        await self._try_all(function_attempts(self.victim.tenant, self.victim.role))
        await self._try_all(wall_attempts(own))
        await self._ask_oracles()
        self.probes.extend(
            Probe("sql", f"{self.attacker.tenant}: {name}", blocked_unless(found))
            for name, found in await sql_catalogue.find_holes(self.mine, self.attacker, self.victim)
        )
        self._add("the text of another's query", await self._watch_peer())

    def _control(self, own: Sequence[Relation], foreign: Sequence[Relation]) -> bool:
        """Both logins see tables of their own, or nothing that follows would mean anything."""
        ours = {relation.schema for relation in foreign}
        if own and self.victim.schema in ours:
            return True
        bare = self.attacker.tenant if not own else self.victim.tenant
        self._add("tables of one's own", Inconclusive(f"tenant {bare} has none"))
        return False

    def _add(self, name: str, outcome: Outcome) -> None:
        self.probes.append(Probe("sql", f"{self.attacker.tenant}: {name}", outcome))

    async def _try_all(self, attempts: Iterable[Attempt]) -> None:
        for attempt in attempts:
            state = await self._try(attempt)
            self._add(attempt.name, _judge(state, "it went through" if state is None else f"answered with {state}"))

    async def _try(self, attempt: Attempt) -> str | None:
        """The SQLSTATE of its refusal, None when there was none."""
        async with _undone(self.mine):
            for statement in attempt.before:
                await self.mine.execute(statement)
            return await _answer(_execute(self.mine, attempt))

    async def _ask_oracles(self) -> None:
        peer, unique = await self._fetch_keys(), secrets.token_hex(8)
        for oracle in oracles(peer, unique):
            foreign, absent = await self._ask(oracle, oracle.foreign), await self._ask(oracle, oracle.absent)
            self._add(oracle.name, same_answer(foreign or "success", absent or "success"))
        async with _undone(self.mine):
            state = await _answer(self.mine.execute(naming_statement(), peer.tenant, f"doc_{unique}"))
        held = state is not None and state not in _UNDECIDED
        self._add("a row in another's name", Blocked() if held else _judge(state, "it was stored"))

    async def _ask(self, oracle: Oracle, arguments: tuple[object, ...]) -> str | None:
        async with _undone(self.mine):
            for statement, values in oracle.before:
                state = await _answer(self.mine.execute(statement, *values))
                if state is not None:
                    return state
            return await _answer(self.mine.execute(oracle.statement, *arguments))

    async def _fetch_keys(self) -> PeerKeys:
        row = await self.theirs.fetchrow(
            "SELECT d.id, d.name_key, v.id AS version FROM documents d "
            "JOIN document_versions v ON v.document_id = d.id ORDER BY d.created_at LIMIT 1"
        )
        made_up = secrets.token_hex(8)
        if row is None:
            return PeerKeys(self.victim.tenant, f"doc_{made_up}", f"ver_{made_up}", made_up.encode())
        return PeerKeys(self.victim.tenant, row["id"], row["version"], row["name_key"])

    async def _watch_peer(self) -> Outcome:
        """While the other's connection is known to run a marked query, its text must not be seen."""
        marker = f"dreamhub-probe-{secrets.token_hex(8)}"
        pid = await self.theirs.fetchval(f"SELECT pg_backend_pid() /* {marker} */")
        text = await self.mine.fetchval("SELECT query FROM pg_stat_activity WHERE pid = $1", pid)
        return Leaked("pg_stat_activity shows it") if text is not None and marker in text else Blocked()


def _judge(state: str | None, otherwise: str) -> Outcome:
    if state == REFUSED:
        return Blocked()
    return Inconclusive(f"PostgreSQL answered with {state}") if state in _UNDECIDED else Leaked(otherwise)


async def _answer(call: Awaitable[object]) -> str | None:
    """The SQLSTATE of a call's refusal. A lost connection is no answer and is raised."""
    try:
        await call
    except asyncpg.PostgresConnectionError:
        raise
    except asyncpg.PostgresError as error:
        return error.sqlstate
    return None


async def _execute(conn: Connection, attempt: Attempt) -> None:
    if attempt.verb == "COPY TO":
        await conn.copy_from_query(attempt.statement, output=_discard)
    elif attempt.verb == "COPY FROM" and attempt.relation is not None:
        table, schema = attempt.relation.name, attempt.relation.schema
        await conn.copy_to_table(table, schema_name=schema, source=io.BytesIO(b""))
    else:
        await conn.execute(attempt.statement)


async def _discard(_: bytes) -> None:
    """What a COPY brought is nobody's business: that it came is enough."""
