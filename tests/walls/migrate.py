"""Bootstraps and migrates a lent database, in a process of its own: the runner must never import the product."""

import asyncio
import io
import secrets
import sys

import asyncpg

from dreamhub.sql.migrate import load_migrations, migrate_up
from tests.integration.conftest import MIGRATIONS, bootstrap
from tests.walls.lent import Lent


async def main(lent: Lent) -> None:
    password = secrets.token_hex(8)
    postgres = lent.postgres()
    await bootstrap(postgres, password)
    conn = await asyncpg.connect(postgres.url("dreamhub_owner", password))
    await migrate_up(conn, load_migrations(MIGRATIONS), io.StringIO())
    await conn.close()


if __name__ == "__main__":
    asyncio.run(main(Lent.parse(sys.argv[1])))
