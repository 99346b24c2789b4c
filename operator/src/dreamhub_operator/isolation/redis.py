"""One tenant's Redis user tried on another's keys and channels, and on commands that are for nobody's tenant."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from dreamhub.errors import DreamHubError
from dreamhub.names import redis_prefix, redis_user
from dreamhub.storage.functions import PUBLISH, READ
from dreamhub.storage.redis_failures import translate_failures
from dreamhub_operator.isolation.outcome import Blocked, Inconclusive, Leaked, Outcome, Probe, undecided
from dreamhub_operator.isolation.side import Side

SECONDS = 5.0
PROBE_KEY = "isolation-probe"
"""Below each tenant's prefix: what a side may write of its own, and what is planted with the canary."""

Command = tuple[str | int, ...]

_REFUSALS = (
    "NOPERM",
    "NOAUTH",
    "ACL failure in script",
    "The user executing the script can't",
    "DEBUG command not allowed",
)
"""How Redis and Valkey refuse: directly, from within a script, and for want of a setting before anything else."""


def key_commands(key: str, channel: str, own: str) -> list[Command]:
    """What the tenant's user may do to keys of its own, on a key of another."""
    return [
        ("HGET", key, "value"),
        ("HSET", key, "value", "taken"),
        ("HINCRBY", key, "count", 1),
        ("DEL", key),
        ("EXPIRE", key, 1),
        ("XADD", key, "*", "field", "value"),
        ("XRANGE", key, "-", "+"),
        ("XREVRANGE", key, "+", "-"),
        ("PUBLISH", channel, "probe"),
        ("FCALL", PUBLISH, 2, key, f"{key}:head", "{}", "epoch"),
        ("FCALL", PUBLISH, 2, own, f"{key}:head", "{}", "epoch"),
        ("FCALL", READ, 2, key, f"{key}:head", "epoch", 0),
    ]


def forbidden_commands(key: str) -> list[Command]:
    """What is for no tenant, with arguments that the command itself refuses where it could do harm.

    Redis looks at permissions before it looks at such arguments.
    """
    return [
        ("GET", key),
        ("SET", key, "taken", "NX", "XX"),
        ("TYPE", key),
        ("EXISTS", key),
        ("OBJECT", "ENCODING", key),
        ("DUMP", key),
        ("SCAN", 0, "COUNT", 1),
        ("RANDOMKEY",),
        ("DBSIZE",),
        ("PUBSUB", "CHANNELS", "dh:*"),
        ("CLIENT", "LIST"),
        ("ACL", "LIST"),
        ("ACL", "GETUSER", "default"),
        ("ACL", "SETUSER", "isolation-probe", "nonsense"),
        ("CONFIG", "GET", "maxmemory"),
        ("CONFIG", "SET", "isolation-probe", "1"),
        ("FLUSHALL", "NONSENSE"),
        ("FLUSHDB", "NONSENSE"),
        ("SHUTDOWN", "NONSENSE"),
        ("SCRIPT", "FLUSH", "NONSENSE"),
        ("SLOWLOG", "GET", 1),
        ("DEBUG", "NONSENSE"),
        ("EVAL", "return 1", 0),
        ("EVAL_RO", "return 1", 0),
        ("SCRIPT", "LOAD", "return 1"),
        ("FUNCTION", "LIST"),
        ("FUNCTION", "LOAD", "nonsense"),
        ("FUNCTION", "DELETE", "isolation-probe"),
        ("MONITOR",),
    ]


async def probe_redis(attacker: Side, victim: Side) -> list[Probe]:
    """Every attempt of the one on the other. An absent server leaves what was learned, and that it is not all."""
    probes: list[Probe] = []
    client = Redis.from_url(attacker.redis_url, socket_timeout=SECONDS, socket_connect_timeout=SECONDS)
    try:
        with translate_failures():
            await _Attack(attacker, victim, client, probes).run()
    except (DreamHubError, RedisError) as error:
        probes += undecided("redis", f"login of {attacker.tenant}", f"Redis failed ({type(error).__name__})")
    finally:
        await client.aclose()
    return probes


@dataclass(frozen=True)
class _Attack:
    attacker: Side
    victim: Side
    client: Any
    """A Redis. Any, because redis-py's raw command is untyped and its typed ones cannot say all that is tried."""
    probes: list[Probe]

    async def run(self) -> None:
        if not await self._control():
            return
        prefix = redis_prefix(self.victim.tenant)
        key, channel = f"{prefix}{PROBE_KEY}", f"{prefix}{PROBE_KEY}:channel"
        own = f"{redis_prefix(self.attacker.tenant)}{PROBE_KEY}:own"
        await self._try_all(key_commands(key, channel, own))
        await self._try_all(forbidden_commands(key))
        for command in (("SUBSCRIBE", channel), ("PSUBSCRIBE", "dh:*")):
            self._add(" ".join(command), await listen(self.client, *command))
        await self._try_logins(key)

    async def _control(self) -> bool:
        """A key of one's own can be written and read, or refusals would mean nothing."""
        key = f"{redis_prefix(self.attacker.tenant)}{PROBE_KEY}:own"
        mark = secrets.token_hex(8)
        await self.client.execute_command("HSET", key, "value", mark)
        read = await self.client.execute_command("HGET", key, "value")
        await self.client.execute_command("DEL", key)
        if read == mark.encode():
            return True
        self._add("a key of one's own", Inconclusive("what was written was not read back"))
        return False

    def _add(self, name: str, outcome: Outcome) -> None:
        self.probes.append(Probe("redis", f"{self.attacker.tenant}: {name}", outcome))

    async def _try_all(self, commands: Iterable[Command]) -> None:
        for command in commands:
            self._add(" ".join(map(str, command)), await attempt(self.client, command))

    async def _try_apart(self, name: str, url: str, command: Command) -> None:
        """On a connection of its own."""
        async with Redis.from_url(url, socket_timeout=SECONDS, socket_connect_timeout=SECONDS) as client:
            self._add(name, await attempt(client, command))

    async def _try_logins(self, key: str) -> None:
        """As the other without its password, and as nobody."""
        other = f"{redis_user(self.victim.tenant)}:{secrets.token_hex(8)}@"
        for name, login in (("login of another", other), ("no login", "")):
            await self._try_apart(name, with_login(self.attacker.redis_url, login), ("HGET", key, "value"))


async def attempt(client: Any, command: Command) -> Outcome:
    """Whether Redis refuses it for want of permission. Any other answer means that permission was there."""
    try:
        await client.execute_command(*command)
    except (NoPermissionError, AuthenticationError):
        return Blocked()
    except ResponseError as error:
        text = str(error)
        return Blocked() if any(word in text for word in _REFUSALS) else Leaked(f"answered with: {text[:100]}")
    return Leaked("it went through")


async def listen(client: Redis, command: str, channel: str) -> Outcome:
    """Whether Redis refuses a subscription; its confirmation, or a message, says that it does not."""
    async with client.pubsub() as pubsub:
        try:
            await pubsub.execute_command(command, channel)
            heard = await pubsub.get_message(timeout=SECONDS)
        except (NoPermissionError, AuthenticationError):
            return Blocked()
    return Inconclusive("no answer came in time") if heard is None else Leaked("it went through")


def with_login(url: str, login: str) -> str:
    """The address with another login, `user:password@` or nothing."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=login + parts.netloc.rpartition("@")[2]))
