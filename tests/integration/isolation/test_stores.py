"""Walls of Redis, of the object store and of encryption, each alone."""

import asyncio
from collections.abc import AsyncIterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
import pytest_asyncio
from redis import exceptions
from redis.asyncio import Redis

from dreamhub import names
from dreamhub.errors import BugError, InvalidInputError
from dreamhub.sql.connections import Connection
from dreamhub.sql.documents import list_chunks
from dreamhub.storage.objects import ObjectStore
from dreamhub.storage.redis_acl import build_rules, digest_password, set_tenant_user
from tests.integration.conftest import NewTenant, TenantLogin
from tests.integration.servers import RedisServer
from tests.integration.sql.support import File, connected, ingest

PASSWORDS = (digest_password("a-password"),)
OWN, FOREIGN = "dh:{walls-a}:", "dh:{walls-b}:"


@pytest_asyncio.fixture
async def tenant_redis(redis_admin: Redis, redis_server: RedisServer) -> AsyncIterator[Any]:
    """As the tenant `walls-a`'s worker. Any: redis-py's raw command is untyped."""
    await set_tenant_user(redis_admin, "walls-a", PASSWORDS)
    async with Redis.from_url(redis_server.url("t_walls-a", "a-password")) as redis:
        yield redis


async def test_keys_of_others_are_refused(redis_admin: Redis, tenant_redis: Any) -> None:
    """The key pattern alone: commands that the tenant has, on keys that it has not."""
    await redis_admin.hset(f"{FOREIGN}job:x:head", "epoch", "secret")
    assert await tenant_redis.hset(f"{OWN}job:x:head", "epoch", "own") in {0, 1}
    assert await tenant_redis.hget(f"{OWN}job:x:head", "epoch") == b"own"
    for command in (
        ("HGET", f"{FOREIGN}job:x:head", "epoch"),
        ("HSET", f"{FOREIGN}job:x:head", "epoch", "mine"),
        ("HINCRBY", f"{FOREIGN}job:x:head", "offset", "1"),
        ("XRANGE", f"{FOREIGN}job:x", "-", "+"),
        ("XADD", f"{FOREIGN}job:x", "*", "a", "b"),
        ("DEL", f"{FOREIGN}job:x:head"),
        ("EXPIRE", f"{FOREIGN}job:x:head", "1"),
        ("HGET", "dh:{walls-", "epoch"),
        ("HGET", "anything", "epoch"),
    ):
        with pytest.raises(exceptions.NoPermissionError):
            await tenant_redis.execute_command(*command)
    assert await redis_admin.hgetall(f"{FOREIGN}job:x:head") == {b"epoch": b"secret"}


async def test_channels_of_others_are_refused(tenant_redis: Any) -> None:
    """The channel pattern alone."""
    await tenant_redis.publish(f"{OWN}job:x", "1")
    for channel in (f"{FOREIGN}job:x", "dh:wake-ups", "anything"):
        with pytest.raises(exceptions.NoPermissionError):
            await tenant_redis.publish(channel, "1")


async def test_commands_that_list_or_administer_are_refused(tenant_redis: Any) -> None:
    """The command rules alone: none of these names a key."""
    for command in (
        *("KEYS *", "SCAN 0", "RANDOMKEY", "DBSIZE", "FLUSHALL", "FLUSHDB", "CONFIG GET *", "ACL LIST", "ACL WHOAMI"),
        *("ACL SETUSER x on nopass ~* +@all", "CLIENT LIST", "MONITOR", "INFO", "PUBSUB CHANNELS", "SHUTDOWN NOSAVE"),
        *(
            "SLOWLOG GET",
            "MEMORY STATS",
            "FUNCTION LIST",
            "FUNCTION FLUSH",
            "SCRIPT FLUSH",
            "EVAL return(1) 0",
            "SELECT 1",
        ),
    ):
        with pytest.raises(exceptions.NoPermissionError):
            await tenant_redis.execute_command(*command.split())


async def test_making_a_user_again_takes_rights_back(redis_admin: Redis, tenant_redis: Any) -> None:
    """`reset` alone: what somebody gave the user by hand is gone the next time the operator makes it."""
    admin: Any = redis_admin
    await admin.execute_command("ACL", "SETUSER", "t_walls-a", "~*", "&*", "+@all", ">extra")
    await set_tenant_user(redis_admin, "walls-a", PASSWORDS)
    with pytest.raises(exceptions.NoPermissionError):
        await tenant_redis.hget(f"{FOREIGN}job:x:head", "epoch")
    with pytest.raises(exceptions.NoPermissionError):
        await tenant_redis.execute_command("KEYS", "*")


def test_a_pattern_can_be_no_tenant() -> None:
    for name in ("*", "a}*{", "walls-?", "", "A"):
        with pytest.raises(InvalidInputError, match="no tenant name"):
            build_rules(name, PASSWORDS)


def test_names_hold_the_tenant() -> None:
    """In words, not by the functions themselves: everything above and every prefix deletion rests on these."""
    assert names.redis_prefix("acme") == "dh:{acme}:"
    assert names.progress_key("acme", "j") == "dh:{acme}:job:j"
    assert names.object_key("acme", "ver_1") == "tenants/acme/versions/ver_1"
    assert names.namespace("acme") == "dh-acme"
    assert names.database_role("acme") == "t_acme"
    for tenant in ("acme/x", "a.b", "acme}", "../acme", "Acme", "acme\n", ""):
        assert not names.is_tenant_name(tenant)


async def test_presigned_url_opens_one_object_for_a_time(object_store: ObjectStore) -> None:
    """Not another's, and not for ever: polled, because the store's clock decides."""
    for tenant in ("walls-a", "walls-b"):
        await object_store.put(names.object_key(tenant, "ver_1"), tenant.encode())
    url = await object_store.presign_get(names.object_key("walls-a", "ver_1"), 3600)
    assert await asyncio.to_thread(_get, url) == (200, b"walls-a")
    assert (await asyncio.to_thread(_get, url.replace("walls-a", "walls-b")))[0] == 403
    assert (await asyncio.to_thread(_get, url.split("?", maxsplit=1)[0]))[0] == 403
    short = await object_store.presign_get(names.object_key("walls-a", "ver_1"), 1)
    async with asyncio.timeout(30):
        while (await asyncio.to_thread(_get, short))[0] != 403:
            await asyncio.sleep(0.2)


def _get(url: str) -> tuple[int, bytes]:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=10)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


@pytest_asyncio.fixture
async def pair(new_tenant: NewTenant) -> tuple[TenantLogin, TenantLogin]:
    return await new_tenant(), await new_tenant()


async def _chunk(conn: Connection) -> asyncpg.Record:
    row = await conn.fetchrow("SELECT landing, ordinal, body_ct FROM chunks ORDER BY ordinal LIMIT 1")
    assert row is not None
    return row


async def test_text_moved_to_another_row_is_not_read(new_tenant: NewTenant) -> None:
    """The associated data alone: the right key, another row."""
    login = await new_tenant()
    async with connected(login.url) as conn:
        outcome = await ingest(conn, login.keys, File("a.md", ("one", "two")))
        row = await _chunk(conn)
        await conn.execute("UPDATE chunks SET body_ct = $1 WHERE ordinal <> $2", row["body_ct"], row["ordinal"])
        with pytest.raises(BugError, match="does not fit"):
            await list_chunks(conn, login.keys, outcome.document_id)


async def test_text_of_another_tenant_is_not_read(pair: tuple[TenantLogin, TenantLogin]) -> None:
    """The key alone: a row that came over whole, with the identity that it was sealed for."""
    mine, theirs = pair
    async with connected(theirs.url) as conn:
        await ingest(conn, theirs.keys, File("a.md", ("their text",)))
        stolen = await _chunk(conn)
    async with connected(mine.url) as conn:
        outcome = await ingest(conn, mine.keys, File("a.md", ("their text",)))
        own = await _chunk(conn)
        await conn.execute("UPDATE chunks SET landing = $1, body_ct = $2", stolen["landing"], stolen["body_ct"])
        await conn.execute("UPDATE document_versions SET shown = $1", stolen["landing"])
        assert own["landing"] != stolen["landing"]
        with pytest.raises(BugError, match="does not fit"):
            await list_chunks(conn, mine.keys, outcome.document_id)


async def test_same_words_have_other_hashes(pair: tuple[TenantLogin, TenantLogin]) -> None:
    """Blind indexes are keyed: nobody who sees two tenants' rows learns that they hold the same."""
    seen = []
    for login in pair:
        async with connected(login.url) as conn:
            await ingest(conn, login.keys, File("same.md", ("the same text",), tags=("same",)))
            row = await conn.fetchrow(
                "SELECT name_key, tag_keys, content_key, terms FROM documents"
                " CROSS JOIN (SELECT content_key FROM document_versions) v CROSS JOIN (SELECT terms FROM chunks) c"
            )
            assert row is not None
            seen.append(row)
    assert seen[0]["name_key"] != seen[1]["name_key"]
    assert seen[0]["content_key"] != seen[1]["content_key"]
    assert not set(seen[0]["tag_keys"]) & set(seen[1]["tag_keys"])
    assert not set(seen[0]["terms"]) & set(seen[1]["terms"])
