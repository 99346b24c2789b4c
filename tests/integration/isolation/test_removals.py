"""Each removal of a wall in the database still applies: to what the migrations make, in a transaction that leaves it.

`make walls` takes minutes; this shows within a second that a function or a table has moved away from its removal.
"""

import asyncpg
import pytest

from tests.integration.conftest import Database
from tests.walls.named import find_lost
from tests.walls.removals import FunctionEdit, StaleRemovalError, Statement, Wall
from tests.walls.table import WALLS

IN_DATABASE = [wall for wall in WALLS if any(isinstance(each, Statement | FunctionEdit) for each in wall.removals)]


async def apply(database: Database, wall: Wall) -> None:
    admin = await asyncpg.connect(database.server.superuser_url)
    try:
        await admin.execute("BEGIN")
        for removal in wall.removals:
            if isinstance(removal, Statement | FunctionEdit):
                await removal.apply(admin)
    finally:
        await admin.close()  # nothing was committed


async def test_every_removal_applies(database: Database) -> None:
    stale = []
    for wall in IN_DATABASE:
        try:
            await apply(database, wall)
        except Exception as error:  # noqa: BLE001 - whatever PostgreSQL says about it, too
            stale.append(f"{wall.name}: {error}")
    assert stale == [], "let these rows of tests/walls follow the product"


async def test_a_stale_removal_is_found(database: Database) -> None:
    """So that the above cannot pass because nothing is looked at."""
    assert len(IN_DATABASE) > 20
    for edit in (FunctionEdit("provision_tables(text)", "no such text", ""), FunctionEdit("no_such(text)", "x", "")):
        with pytest.raises(StaleRemovalError):
            await apply(database, Wall("stale", (edit,), ()))


def test_named_tests_have_their_parameters(request: pytest.FixtureRequest) -> None:
    named = sorted({test for wall in WALLS for test in wall.tests})
    assert find_lost(named, request.session) == []
