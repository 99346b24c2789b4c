"""A tenant's two database logins, for the operator: one is in use, the other is the one before it or the next."""

from datetime import datetime
from typing import Literal
from urllib.parse import quote

import asyncpg

from dreamhub.errors import InvalidInputError
from dreamhub.names import LoginSlot, database_login, database_role
from dreamhub.sql.connections import Connection
from dreamhub.sql.queries import load_queries

_SQL = load_queries("logins")

FormerSlot = LoginSlot | Literal[""]
"""The empty one is the tenant's role itself, which was the login in releases that knew no slots."""


def build_url(address: str, tenant: str, slot: FormerSlot, password: str) -> str:
    """Where and how the tenant logs in; `address` is host:port/database, perhaps with `?sslmode=...`.

    The option makes the connection the tenant's role from its beginning on, also after RESET ROLE.
    """
    role = database_role(tenant)
    login = database_login(tenant, slot) if slot else role
    separator = "&" if "?" in address else "?"
    option = f"{separator}options={quote(f'-crole={role}', safe='')}" if slot else ""
    return f"postgresql://{quote(login, safe='')}:{quote(password, safe='')}@{address}{option}"


async def set_login(conn: Connection, tenant: str, slot: LoginSlot, verifier: str) -> None:
    """Let the tenant, which is provisioned, log in by this slot, without an end. Repeating it repairs what was changed.

    Raises InvalidInputError for something that is no verifier.
    """
    try:
        await conn.execute(_SQL["set_login"], tenant, slot, verifier)
    except asyncpg.InvalidParameterValueError as error:
        raise InvalidInputError(f"the login was not set: {error}") from error


async def expire_login(conn: Connection, tenant: str, slot: FormerSlot, moment: datetime) -> None:
    """Refuse the login from that moment on. Open sessions go on. An absent one is fine."""
    await conn.execute(_SQL["expire_login"], tenant, slot, moment)


async def end_login(conn: Connection, tenant: str, slot: FormerSlot) -> None:
    """Refuse the login, forget its password and end its sessions. An absent one is fine."""
    await conn.execute(_SQL["end_login"], tenant, slot)
