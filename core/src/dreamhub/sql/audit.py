"""What others have changed of tenants in PostgreSQL: role attributes, memberships, settings, grants, triggers.

All tenants are made alike, so one that was just made tells how all should look. Nobody keeps a second description of
what provisioning does, and a release that makes tenants differently finds the ones that it has to make over.

A password cannot be seen in the catalogs and is not looked at here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dreamhub.sql.connections import Connection
from dreamhub.sql.queries import load_queries

_SQL = load_queries("audit")
_DIGESTS = f"{_SQL['lines']}\n{_SQL['digests']}"
_STATE = f"{_SQL['lines']}\n{_SQL['state']}"

_POWERS = ("SUPERUSER", "CREATEDB", "CREATEROLE", "REPLICATION", "BYPASSRLS", "INHERIT")
_OWN = frozenset({"*", "dreamhub_owner", "dreamhub_api", "dreamhub_operator", "dreamhub_tenant"})
"""Roles that may hold grants or memberships; `*` is the tenant's own."""


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """One fact. The same for all tenants, but for what somebody changed."""

    part: str
    """Empty for schema and tables, `role` for the tenant's role, `a` or `b` for a login."""
    object: str
    field: str
    value: str

    @property
    def name(self) -> str:
        """For people."""
        owner = f"login {self.part}" if self.part in {"a", "b"} else self.object
        return f"{owner}: {self.field}"


Digests = Mapping[str, Mapping[str, str]]
"""By tenant, then by part. A tenant or part that is absent is not there."""


async def fetch_digests(conn: Connection) -> Digests:
    """One digest for each part of each tenant: equal digests, equal facts."""
    found: dict[str, dict[str, str]] = {}
    for row in await conn.fetch(_DIGESTS, None):
        found.setdefault(row["tenant"], {})[row["part"]] = row["digest"]
    return found


async def fetch_state(conn: Connection, tenant: str) -> frozenset[Line]:
    """All facts about one tenant; empty when it has no schema."""
    return frozenset(Line(**row) for row in await conn.fetch(_STATE, tenant))


def find_differences(expected: Iterable[Line], found: Iterable[Line]) -> tuple[str, ...]:
    """Names of what is missing, too much or different."""
    return tuple(sorted({line.name for line in frozenset(expected) ^ frozenset(found)}))


def find_excess(state: Iterable[Line]) -> tuple[str, ...]:
    """What no tenant may have, whatever the others have: powers, memberships and grants beyond its own."""
    return tuple(sorted(line.name for line in state if _is_excess(line)))


def _is_excess(line: Line) -> bool:
    if line.field == "attributes":
        return any(word in _POWERS for word in line.value.split())
    kind, _, role = line.field.rpartition(" ")
    if kind in {"member of", "granted to", "grants to"}:
        return role not in _OWN
    return line.field == "owner" and line.value != "dreamhub_owner"
