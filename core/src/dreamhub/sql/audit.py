"""What others have changed of tenants in PostgreSQL: role attributes, memberships, settings, grants, triggers.

All tenants are made alike, so one that was just made tells how all should look. Nobody keeps a second description of
what provisioning does, and a release that makes tenants differently finds the ones that it has to make over.

A password cannot be seen in the catalogs and is not looked at here.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dreamhub.sql.connections import Connection
from dreamhub.sql.queries import load_queries
from dreamhub.sql.schema import fetch_schema_version

_SQL = load_queries("audit")
_DIGESTS = f"{_SQL['all']}\n{_SQL['lines']}\n{_SQL['digests']}"
_STATE = f"{_SQL['one']}\n{_SQL['lines']}\n{_SQL['state']}"

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


@dataclass(frozen=True, slots=True)
class Digests:
    """Equal digests, equal facts, as long as the schema has one version."""

    version: int
    """Of the schema: another one may make tenants differently."""
    tenants: Mapping[str, Mapping[str, str]]
    """By tenant, then by part. A tenant or part that is absent is not there."""


async def fetch_digests(conn: Connection) -> Digests:
    found: dict[str, dict[str, str]] = {}
    version = await fetch_schema_version(conn)
    for row in await conn.fetch(_DIGESTS):
        found.setdefault(row["tenant"], {})[row["part"]] = row["digest"]
    return Digests(version, found)


def digest_of(lines: Iterable[Line]) -> str:
    """As the database makes it of the lines of one part."""
    texts = [f"{line.object}|{line.field}|{line.value}" for line in sorted(lines)]
    return hashlib.md5("\n".join(texts).encode(), usedforsecurity=False).hexdigest()


async def fetch_state(conn: Connection, tenant: str) -> frozenset[Line]:
    """All facts about one tenant; empty when it has no schema."""
    return frozenset(Line(**row) for row in await conn.fetch(_STATE, tenant))


async def strip_tenant(conn: Connection, tenant: str) -> None:
    """Take every grant on the tenant's schema and tables from everybody. Provision it in the same transaction."""
    await conn.execute(_SQL["strip_tenant"], tenant)


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
