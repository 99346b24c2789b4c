"""The schema versions that this build works with.

Migrations are expand first: a newer schema keeps serving older builds until a contract step, and contract steps run
only when no old build is left. So a build needs *at least* its minimum; a newer schema is fine, which is what lets a
Helm rollback come up.
"""

import asyncpg

from dreamhub.sql.connections import Connection
from dreamhub.sql.queries import load_queries

_SQL = load_queries("schema")

SCHEMA_MIN = 29
"""The oldest schema that this build's SQL works with."""

SCHEMA_HEAD = 30
"""The newest migration that this build ships; a test compares it with `migrations/`."""


async def fetch_schema_version(conn: Connection) -> int:
    """The newest applied migration; 0 before the first. Any service login may read it."""
    try:
        version = await conn.fetchval(_SQL["fetch_schema_version"])
    except (asyncpg.UndefinedTableError, asyncpg.InsufficientPrivilegeError):
        return 0  # the first run grants both in the transaction that creates them
    return int(version)


def is_compatible(version: int) -> bool:
    """For readiness and init containers: `SCHEMA_MIN <= version`, also above `SCHEMA_HEAD` (see the module's text)."""
    return version >= SCHEMA_MIN
