"""Which failures of PostgreSQL pass by themselves."""

import pytest

from dreamhub.errors import UnavailableError
from dreamhub.sql.connections import Connection, translate_failures
from dreamhub.sql.ingest import NewRun, start_run


async def test_a_server_that_became_a_standby_is_an_outage(tenant_connection: Connection) -> None:
    await tenant_connection.execute("SET default_transaction_read_only = on")
    with pytest.raises(UnavailableError, match="ReadOnlySQLTransactionError"), translate_failures():
        await start_run(tenant_connection, NewRun("uid", "job", "1.0", "pod"))
