"""What tenants have used of the workers, in the database. For the operator only.

Each function is one statement, which happens whole or not at all and may be repeated; `dreamhub.domain.fair_books` says
by which rules, and a test holds the two against each other.
"""

from collections.abc import Collection
from dataclasses import dataclass

from dreamhub.domain.fair_books import Balance, Books, Charge, Entry
from dreamhub.sql.connections import Connection
from dreamhub.sql.queries import load_queries

_SQL = load_queries("fair_books")


@dataclass(frozen=True, slots=True)
class Moment:
    now: float
    """Seconds of Unix time."""
    half_life: float
    """Seconds in which what was used loses half of its weight."""


async def fetch_books(conn: Connection, half_life: float) -> Books:
    charges = {
        row["uid"]: Charge(row["tenant"], row["cost"], row["settled"])
        for row in await conn.fetch(_SQL["fetch_charges"])
    }
    balances = {
        row["tenant"]: Balance(row["consumed"], row["as_of"]) for row in await conn.fetch(_SQL["fetch_balances"])
    }
    return Books(half_life, charges, balances)


async def enter(conn: Connection, entry: Entry, moment: Moment) -> None:
    match entry.kind:
        case "Charge":
            await conn.execute(_SQL["charge"], entry.uid, entry.tenant, entry.amount or 0)
        case "Pause":
            await conn.execute(_SQL["pause"], entry.uid, entry.amount or 0, moment.now, moment.half_life)
        case "Settle":
            await conn.execute(_SQL["settle"], entry.uid, entry.amount, moment.now, moment.half_life)


async def forget_balances(conn: Connection, kept: Collection[str]) -> None:
    """Of all tenants but these."""
    await conn.execute(_SQL["forget_balances"], list(kept))
