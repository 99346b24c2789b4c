"""A job's live progress in Redis: one capped stream a job, and a wake-up on the channel of the same name.

Readers resume by epoch and offset. The offset is the entry's number in the stream and its stream id (`<offset>-0`); the
epoch is random and kept beside the stream, so a lost stream starts another epoch and no reader mistakes its offsets.
"""

import secrets
from dataclasses import dataclass
from typing import cast

from redis.asyncio import Redis

from dreamhub import names
from dreamhub.domain.progress import Progress
from dreamhub.storage.redis_failures import translate_failures
from dreamhub.storage.wake_ups import WakeUps

__all__ = ["Deltas", "Position", "Snapshot", "WakeUps", "publish", "read_since"]

KEPT_ENTRIES = 512
"""At least; Redis trims whole blocks of about a hundred."""

KEPT_SECONDS = 24 * 3600
"""After the last entry; then the database alone knows."""

_PUBLISH = f"""
local epoch = redis.call('HGET', KEYS[2], 'epoch')
if not epoch then
  redis.call('DEL', KEYS[1])
  epoch = ARGV[2]
  redis.call('HSET', KEYS[2], 'epoch', epoch)
end
local offset = redis.call('HINCRBY', KEYS[2], 'offset', 1)
redis.call('XADD', KEYS[1], 'MAXLEN', '~', {KEPT_ENTRIES}, offset .. '-0', 'progress', ARGV[1])
redis.call('EXPIRE', KEYS[1], {KEPT_SECONDS})
redis.call('EXPIRE', KEYS[2], {KEPT_SECONDS})
redis.call('PUBLISH', KEYS[1], offset)
return {{epoch, offset}}
"""

_READ = """
local epoch = redis.call('HGET', KEYS[2], 'epoch')
if not epoch then return false end
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if #last == 0 then return false end
if ARGV[1] ~= epoch then return {epoch, 0, last} end
local after = tonumber(ARGV[2])
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)
local oldest = tonumber(string.match(first[1][1], '^%d+'))
local newest = tonumber(string.match(last[1][1], '^%d+'))
if after + 1 < oldest or after > newest then return {epoch, 0, last} end
return {epoch, 1, redis.call('XRANGE', KEYS[1], (after + 1) .. '-0', '+')}
"""


@dataclass(frozen=True, slots=True)
class Position:
    epoch: str
    offset: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The latest progress alone. `recovered` is False when the reader asked for a position that is gone."""

    progress: Progress
    position: Position
    recovered: bool


@dataclass(frozen=True, slots=True)
class Deltas:
    """Everything after the position asked for, oldest first; empty when nothing is new."""

    items: tuple[tuple[int, Progress], ...]
    """Offset and progress."""
    position: Position
    """Where to go on."""


_Entries = list[tuple[bytes | str, list[bytes | str]]]


def _keys(tenant: str, job: str) -> list[str]:
    stream = names.progress_key(tenant, job)
    return [stream, f"{stream}:head"]


async def publish(redis: Redis, tenant: str, job: str, progress: Progress) -> Position:
    """Append and wake readers, in one script. Raises UnavailableError."""
    document = progress.model_dump_json(by_alias=True, exclude_defaults=True)
    with translate_failures():
        script = redis.register_script(_PUBLISH)
        current, offset = await script(keys=_keys(tenant, job), args=[document, secrets.token_hex(8)])
    return Position(_text(current), int(offset))


async def read_since(redis: Redis, tenant: str, job: str, since: Position | None) -> Snapshot | Deltas | None:
    """Deltas after `since` when all of them are still there, else a snapshot. None: no stream (not started or expired).

    Without `since`: a snapshot with `recovered=True` (nothing was asked for, so nothing was missed).
    """
    asked = since or Position("", 0)
    with translate_failures():
        script = redis.register_script(_READ)
        reply = await script(keys=_keys(tenant, job), args=[asked.epoch, asked.offset])
    if reply is None:
        return None
    epoch, complete, entries = _text(reply[0]), bool(reply[1]), _read_entries(cast("_Entries", reply[2]))
    if complete:
        return Deltas(entries, Position(epoch, entries[-1][0] if entries else asked.offset))
    offset, progress = entries[-1]
    return Snapshot(progress, Position(epoch, offset), recovered=since is None)


def _read_entries(entries: _Entries) -> tuple[tuple[int, Progress], ...]:
    return tuple(
        (int(_text(entry_id).partition("-")[0]), Progress.model_validate_json(fields[1]))
        for entry_id, fields in entries
    )


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
