"""`migrations/schema.sql` is what all migrations together make: reviewed with each change, compared here.

`UPDATE_SNAPSHOTS=1 pytest tests/integration/sql/test_schema.py` writes it anew.
"""

import os
import re

from dreamhub.sql.connections import Connection
from dreamhub.sql.tenants import provision_tenant
from tests.integration.conftest import MIGRATIONS, Database

SNAPSHOT = MIGRATIONS / "schema.sql"
TENANT = "snapshot"

_NOISE = re.compile(r"^(--.*|SET .*|SELECT pg_catalog\.set_config.*|\\(un)?restrict .*)?\n", re.MULTILINE)


def normalise(dump: str) -> str:
    """Without comments, session settings, blank lines and the random token that pg_dump adds."""
    return _NOISE.sub("", dump)


async def test_schema_equals_all_migrations(database: Database, operator_connection: Connection) -> None:
    await provision_tenant(operator_connection, TENANT)
    dump = database.server.run("pg_dump", "--schema-only", "-n", "dreamhub", "-n", f"t_{TENANT}")
    schema = normalise(dump)
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(schema)
    assert schema == SNAPSHOT.read_text(), "run with UPDATE_SNAPSHOTS=1 and review the difference"
