"""A Redis user for each tenant, confined to the tenant's keys and channels."""

from redis.asyncio import Redis


async def set_tenant_user(redis: Redis, tenant: str, password: str) -> None:
    """Make the user exactly as it should be (reset first), so repeating it repairs drift. ACLs do not survive a Redis
    restart without an ACL file: the operator repeats this. Only the password's SHA-256 is sent."""
    raise NotImplementedError


async def delete_tenant_user(redis: Redis, tenant: str) -> None:
    """Remove the user and cut its connections; an absent one is fine."""
    raise NotImplementedError
