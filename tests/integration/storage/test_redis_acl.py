import pytest
from redis.asyncio import Redis

from dreamhub import names
from dreamhub.errors import InvalidInputError
from dreamhub.storage.redis_acl import delete_tenant_keys


async def test_keys_of_one_tenant_go_and_its_neighbours_stay(redis_admin: Redis) -> None:
    for tenant in ("small", "small-one"):
        for number in range(3):
            await redis_admin.set(f"{names.redis_prefix(tenant)}{number}", "1")
    assert await delete_tenant_keys(redis_admin, "small") == 3
    assert await delete_tenant_keys(redis_admin, "small") == 0
    assert await delete_tenant_keys(redis_admin, "small-one") == 3


async def test_a_pattern_is_no_tenant(redis_admin: Redis) -> None:
    with pytest.raises(InvalidInputError):
        await delete_tenant_keys(redis_admin, "*")
