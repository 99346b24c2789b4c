"""A job's live progress in Redis: one capped stream a job, and a wake-up on the channel of the same name.

Readers resume by epoch and offset. The offset is the entry's number in the stream and its stream id (`<offset>-0`); the
epoch is random and kept beside the stream, so a lost stream starts another epoch and no reader mistakes its offsets.

The tenant's own login writes the stream, so that whoever has it may have written anything: readers take what they can
read, and never fail on the rest.
"""

import secrets
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from dreamhub import names
from dreamhub.domain.progress import Progress
from dreamhub.errors import UnavailableError
from dreamhub.storage.functions import PUBLISH, READ
from dreamhub.storage.redis_failures import translate_failures
from dreamhub.storage.wake_ups import WakeUps

__all__ = ["Deltas", "Position", "Snapshot", "WakeUps", "forget", "publish", "read_since"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Position:
    epoch: str
    offset: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The latest progress alone. `recovered` is False when the reader asked for a position that is gone."""

    progress: Progress | None
    """None when the last entry cannot be read."""
    position: Position
    recovered: bool


@dataclass(frozen=True, slots=True)
class Deltas:
    """Everything after the position asked for, oldest first; empty when nothing is new."""

    items: tuple[tuple[int, Progress], ...]
    """Offset and progress of each entry that can be read."""
    position: Position
    """Where to go on."""


_Entries = list[tuple[bytes | str, list[bytes | str]]]


def _keys(tenant: str, uid: str) -> list[str]:
    stream = names.progress_key(tenant, uid)
    return [stream, f"{stream}:head"]


async def publish(redis: Redis, tenant: str, uid: str, progress: Progress) -> Position:
    """Append and wake readers, in one step. `uid` is the IngestJob's. Raises UnavailableError."""
    document = progress.model_dump_json(by_alias=True, exclude_defaults=True)
    call: Any = redis.fcall(PUBLISH, 2, *_keys(tenant, uid), document, secrets.token_hex(8))
    current, offset = await _answer(call)
    return Position(_text(current), int(offset))


async def read_since(redis: Redis, tenant: str, uid: str, since: Position | None) -> Snapshot | Deltas | None:
    """Deltas after `since` when all of them are still there, else a snapshot. None: no stream (not started or expired).

    Without `since`: a snapshot with `recovered=True` (nothing was asked for, so nothing was missed). Raises
    UnavailableError, also for a stream that is no stream.
    """
    asked = since or Position("", 0)
    call: Any = redis.fcall_ro(READ, 2, *_keys(tenant, uid), asked.epoch, str(asked.offset))
    reply = await _answer(call)
    if reply is None:
        return None
    epoch, complete, entries = _text(reply[0]), bool(reply[1]), cast("_Entries", reply[2])
    newest = _offset(entries[-1][0]) if entries else asked.offset
    if complete:
        return Deltas(_read_entries(entries), Position(epoch, newest))
    readable = _read_entries(entries)
    return Snapshot(readable[-1][1] if readable else None, Position(epoch, newest), recovered=since is None)


async def forget(redis: Redis, tenant: str, uid: str) -> None:
    """The job is gone, and its progress with it. Raises UnavailableError."""
    with translate_failures():
        await redis.delete(*_keys(tenant, uid))


async def _answer(call: Awaitable[T]) -> T:
    with translate_failures():
        try:
            return await call
        except ResponseError as error:
            raise UnavailableError(
                f"Redis refuses the stream of progress: {error}", code="ProgressUnavailable"
            ) from error


def _read_entries(entries: _Entries) -> tuple[tuple[int, Progress], ...]:
    read = ((_offset(entry_id), _read_progress(fields)) for entry_id, fields in entries)
    return tuple((offset, progress) for offset, progress in read if progress is not None)


def _read_progress(fields: list[bytes | str]) -> Progress | None:
    try:
        return Progress.model_validate_json(fields[1])
    except ValidationError:
        return None


def _offset(entry_id: bytes | str) -> int:
    return int(_text(entry_id).partition("-")[0])


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
