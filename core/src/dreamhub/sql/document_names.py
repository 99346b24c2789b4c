"""What documents are called, for lists of something else that names them by id. For the API, as the tenant."""

from collections.abc import Iterable, Mapping

from dreamhub.domain.keys import DataKeys
from dreamhub.sql.bodies import open_meta
from dreamhub.sql.connections import Connection
from dreamhub.sql.queries import load_queries

_SQL = load_queries("documents")


async def fetch_names(conn: Connection, keys: DataKeys, documents: Iterable[str]) -> Mapping[str, str]:
    """By id. Those that are gone, or never came to be, are absent."""
    rows = await conn.fetch(_SQL["fetch_metas"], list(documents))
    return {row["id"]: open_meta(keys, row["id"], row["meta_ct"]).name for row in rows}
