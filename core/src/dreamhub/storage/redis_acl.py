"""A Redis user for each tenant, confined to the tenant's keys and channels."""

import hashlib
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis

from dreamhub import names
from dreamhub.errors import InvalidInputError
from dreamhub.storage.functions import load_functions
from dreamhub.storage.redis_failures import translate_failures

_COMMANDS = (
    "+ping",
    "+hello",
    "+auth",
    "+hget",
    "+hset",
    "+hincrby",
    "+del",
    "+expire",
    "+xadd",
    "+xrange",
    "+xrevrange",
    "+xdel",
    "+xlen",
    "+xack",
    "+xclaim",
    "+xautoclaim",
    "+xpending",
    "+xreadgroup",
    "+xgroup|create",
    "+hdel",
    "+hmget",
    "+time",
    "+publish",
    "+fcall",
)
"""What publishing progress, taking work and calling models need (a function runs with its caller's rights), and nothing
that brings code of its own, lists, scans or administers."""


def digest_password(password: str) -> str:
    """What Redis is told of a password."""
    return hashlib.sha256(password.encode()).hexdigest()


def build_rules(tenant: str, digests: Sequence[str]) -> list[str]:
    """The arguments of ACL SETUSER. `reset` first: what the user had before is gone.

    `digests` are those of the passwords that are accepted: two, while one takes over from the other.
    """
    if not names.is_tenant_name(tenant):
        raise InvalidInputError(f"{tenant!r} is no tenant name")
    prefix = names.redis_prefix(tenant)
    passwords = [f"#{digest}" for digest in digests]
    keys = [f"~{prefix}*", f"%R~{names.budget_prefix(tenant)}*"]
    return ["reset", "on", *passwords, *keys, f"&{prefix}*", "-@all", *_COMMANDS]


async def set_tenant_user(redis: Redis, tenant: str, digests: Sequence[str]) -> None:
    """Make the user exactly as it should be, so that repeating it repairs drift.

    ACLs do not survive a Redis restart without an ACL file: the operator repeats this. Only the passwords' SHA-256
    is sent. The functions that the user calls are loaded along with it.
    """
    await load_functions(redis)
    await _execute(redis, "ACL", "SETUSER", names.redis_user(tenant), *build_rules(tenant, digests))


async def delete_tenant_user(redis: Redis, tenant: str) -> None:
    """Remove the user and cut its connections; an absent one is fine."""
    await _execute(redis, "ACL", "DELUSER", names.redis_user(tenant))


async def _execute(redis: Any, *command: str) -> None:
    """`redis` is Any because redis-py's raw command is untyped; its typed ones cannot pass a rule as it is."""
    with translate_failures():
        await redis.execute_command(*command)


async def delete_tenant_keys(redis: Redis, tenant: str) -> int:
    """Delete every key of a tenant; returns how many there were. Needs a login that may SCAN."""
    if not names.is_tenant_name(tenant):
        raise InvalidInputError(f"{tenant!r} is no tenant name")
    deleted = 0
    with translate_failures():
        async for key in redis.scan_iter(match=f"{names.redis_prefix(tenant)}*", count=1000):
            deleted += await redis.unlink(key)
    return deleted
