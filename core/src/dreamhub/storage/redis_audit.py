"""What others have changed of tenants' users in Redis: one look at all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from dreamhub.storage.redis_failures import translate_failures

_GROUPS = {
    "#": "passwords",
    "~": "keys",
    "%": "keys",
    "&": "channels",
    "+": "commands",
    "-": "commands",
    "(": "selectors",
}
_OPEN = {"nopass": "passwords", "allkeys": "keys", "allchannels": "channels", "allcommands": "commands"}
"""Flags that open a whole group."""
WHOLE = "the whole user"


@dataclass(frozen=True, slots=True)
class Users:
    """All users of a server as ACL LIST tells them."""

    life: str
    """Changes when the server starts again, and without an ACL file it has then forgotten its users."""
    rules: Mapping[str, tuple[str, ...]]
    """By the user's name."""


async def fetch_users(redis: Redis) -> Users:
    """Needs a login that may ACL LIST and INFO."""
    client: Any = redis  # redis-py types neither answer
    with translate_failures():
        lines = await client.execute_command("ACL", "LIST")
        info = await client.info("server")
    parsed = (_text(line).split(" ") for line in lines)
    return Users(_text(info["run_id"]), {words[1]: tuple(words[2:]) for words in parsed})


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode()


def find_differences(wanted: Sequence[str], found: Sequence[str] | None) -> tuple[str, ...]:
    """Names of what is not as `wanted`, the arguments of ACL SETUSER, would make it; None is an absent user.

    Flags that this module does not know are left alone: servers write their own.
    """
    if found is None:
        return (WHOLE,)
    differ = {_GROUPS[rule[0]] for rule in set(wanted) ^ set(found) if rule[0] in _GROUPS}
    differ |= {_OPEN[rule] for rule in found if rule in _OPEN}
    return tuple(sorted(differ | ({"on"} if "on" not in found else set())))
