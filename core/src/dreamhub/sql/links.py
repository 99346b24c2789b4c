"""Which originals a run's worker may be given links to. The role is the tenant, so no other tenant's are ever seen."""

from collections.abc import Collection

from dreamhub.sql.connections import Connection
from dreamhub.sql.queries import load_queries

_SQL = load_queries("links")


async def is_running(conn: Connection, run: str) -> bool:
    """Whether the tenant has this run, and it has not ended."""
    return bool(await conn.fetchval(_SQL["is_running"], run))


async def find_readable(conn: Connection, run: str, versions: Collection[str]) -> tuple[str, ...]:
    """Versions that are items of the run and stand."""
    return await _find(conn, "find_readable", run, list(versions)) if versions else ()


async def find_writable(conn: Connection, versions: Collection[str]) -> tuple[str, ...]:
    """Versions whose original is announced and that do not stand yet: no link is signed for an original that stands.

    One that was signed before lasts for minutes more; a worker refuses an original that is not what was registered.
    """
    return await _find(conn, "find_writable", list(versions)) if versions else ()


async def _find(conn: Connection, query: str, *arguments: object) -> tuple[str, ...]:
    return tuple(row["version_id"] for row in await conn.fetch(_SQL[query], *arguments))
