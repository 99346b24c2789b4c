"""What a tenant's quota has room for is read for all its Jobs together."""

import asyncio
from typing import cast

from dreamhub_operator.cluster import Cluster, ObjectKey
from dreamhub_operator.kinds import Manifest
from dreamhub_operator.reconcile.quota_check import QUOTA_SECONDS, RoomBoard


class Reader:
    def __init__(self) -> None:
        self.read: list[str | None] = []

    async def get(self, key: ObjectKey) -> Manifest:
        self.read.append(key.namespace)
        await asyncio.sleep(0)
        return {"number": len(self.read)}


async def test_many_jobs_of_a_tenant_cost_one_read() -> None:
    reader, now = Reader(), [5.0]
    board = RoomBoard(cast("Cluster", reader), clock=lambda: now[0])
    asked = ["dh-a"] * 20 + ["dh-b"] * 20
    assert len(await asyncio.gather(*map(board.find, asked))) == 40
    assert reader.read == ["dh-a", "dh-b"]
    now[0] += QUOTA_SECONDS + 1
    assert await board.find("dh-a") == {"number": 3}


async def test_tenants_that_nobody_asks_about_any_more_are_forgotten() -> None:
    now = [5.0]
    board = RoomBoard(cast("Cluster", Reader()), clock=lambda: now[0])
    await board.find("dh-a")
    now[0] += QUOTA_SECONDS + 1
    await board.find("dh-b")
    assert board._found.keys() == {"dh-b"}
