"""The books in the database keep the rules of those in memory, whatever comes when, and whoever is not the operator."""

from typing import Literal

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dreamhub.domain.fair_books import Books, Entry
from dreamhub.sql.connections import Connection
from dreamhub.sql.fair_books import Moment, enter, fetch_books, forget_balances
from tests.integration.conftest import TenantLogin
from tests.integration.sql.support import connected

Kind = Literal["Charge", "Pause", "Settle"]

HALF_LIFE = 600.0
NOW = 1_700_000_000.0

ENTRIES = st.lists(
    st.tuples(
        st.sampled_from(["Charge", "Pause", "Settle"]),
        st.sampled_from(["a1", "a2", "b1"]),
        st.integers(0, 5_000),
        st.sampled_from([-60.0, 0.0, 60.0, 600.0, 1e7]),
    ),
    max_size=25,
)


async def empty(conn: Connection) -> None:
    await conn.execute("DELETE FROM dreamhub.fair_charges")
    await forget_balances(conn, [])


def enter_in_memory(books: Books, entry: Entry, now: float) -> None:
    match entry.kind:
        case "Charge":
            books.charge(entry.uid, entry.tenant, entry.amount or 0)
        case "Pause":
            books.pause(entry.uid, entry.amount or 0, now)
        case "Settle":
            books.settle(entry.uid, entry.amount, now)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=ENTRIES, is_known=st.booleans())
async def test_the_database_and_the_memory_agree_after_each_entry(
    operator_connection: Connection, *, entries: list[tuple[Kind, str, int, float]], is_known: bool
) -> None:
    await empty(operator_connection)
    memory, now = Books(HALF_LIFE), NOW
    for kind, uid, amount, passed in entries:
        now += passed
        entry = Entry(kind, uid, uid[0], amount if is_known or kind != "Settle" else None)
        for _ in range(2):
            enter_in_memory(memory, entry, now)
            await enter(operator_connection, entry, Moment(now, HALF_LIFE))
        stored = await fetch_books(operator_connection, HALF_LIFE)
        assert stored.charges == memory.charges
        for tenant in "ab":
            assert stored.usage(tenant, now) == pytest.approx(memory.usage(tenant, now), rel=1e-6, abs=1e-6)


async def test_a_tenant_neither_reads_nor_writes_them(tenant: TenantLogin, operator_connection: Connection) -> None:
    await empty(operator_connection)
    async with connected(tenant.url) as conn:
        for statement in (
            "SELECT * FROM dreamhub.fair_charges",
            "SELECT * FROM dreamhub.fair_balances",
            "DELETE FROM dreamhub.fair_charges",
            "INSERT INTO dreamhub.fair_balances VALUES ('a', 0, now())",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute(statement)


async def test_tenants_that_are_gone_are_forgotten(operator_connection: Connection) -> None:
    await empty(operator_connection)
    for tenant in ("a", "b"):
        for kind in ("Charge", "Settle"):
            await enter(operator_connection, Entry(kind, f"{tenant}1", tenant, 10), Moment(NOW, HALF_LIFE))
    await forget_balances(operator_connection, ["b"])
    assert (await fetch_books(operator_connection, HALF_LIFE)).balances.keys() == {"b"}
