"""Following one job to its end: by WebSocket with resumption, and by polling where no WebSocket gets through.

The caller sees one stream of updates either way. Each update is the whole state, so one that is missed costs nothing
but smoothness; what must not happen is a watch that ends early or never.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

import aiohttp
from pydantic import ValidationError

from dreamhub_client.errors import ClientError, ProtocolError, UnreachableError
from dreamhub_client.messages import ClientMessage, JobUpdate, Position, ServerMessage
from dreamhub_client.models import FINISHED_PHASES, Task
from dreamhub_client.retry import is_transient
from dreamhub_client.transport import API_PREFIX, Call, Transport, segment

Updates = AsyncGenerator[JobUpdate, None]


@dataclass(frozen=True)
class WatchSettings:
    """Times in seconds.

    `socket_attempts` failures in a row lead to polling, which may find nobody for as long as `patience`.
    """

    socket_attempts: int = 3
    reconnect_seconds: float = 0.5
    poll_seconds: float = 1.0
    longest_poll_seconds: float = 15.0
    patience: float = 120.0


class SocketRefusedError(ClientError):
    """The server answers on the socket with an error: asking again there is useless, polling tells the reason."""


@dataclass(frozen=True)
class Feed:
    """What is known of a job's channel: pure, `accept` gives its successor."""

    channel: str
    position: Position | None = None
    update: JobUpdate | None = None

    def subscription(self) -> ClientMessage:
        return ClientMessage(op="subscribe", channel=self.channel, since=self.position)

    def accept(self, message: ServerMessage) -> "Feed":
        """The feed after a message.

        Raises:
            SocketRefusedError: the message is an error.
            ProtocolError: its data is not a job's.
        """
        if message.type == "error":
            raise SocketRefusedError(message.message or message.code or "the server refused the subscription")
        if message.channel != self.channel or message.data is None:
            return self
        try:
            update = JobUpdate.model_validate(message.data)
        except ValidationError as error:
            raise ProtocolError(f"channel {self.channel} carries something that is no job update") from error
        if message.epoch is None or message.offset is None:
            return replace(self, update=update)
        return replace(self, update=update, position=Position(epoch=message.epoch, offset=message.offset))


async def watch_job(transport: Transport, tenant: str, name: str, settings: WatchSettings) -> Updates:
    """Each new state of a job, the present one first; ends after a finished one.

    Raises:
        NotFoundError: there is no such job, or it was deleted meanwhile.
        UnreachableError: the server stayed away for longer than the patience.
    """
    feed = Feed(f"job:{tenant}/{name}")
    failures = 0
    while failures < settings.socket_attempts:
        try:
            async with aclosing(_follow_socket(transport, feed)) as feeds:
                async for feed in feeds:
                    failures = 0
                    if feed.update is not None:
                        yield feed.update
                        if feed.update.phase in FINISHED_PHASES:
                            return
        except SocketRefusedError:
            break
        except UnreachableError:
            pass
        failures += 1
        await asyncio.sleep(settings.reconnect_seconds * failures)
    async with aclosing(poll_job(transport, name, settings, last=feed.update)) as updates:
        async for update in updates:
            yield update


async def _follow_socket(transport: Transport, feed: Feed) -> AsyncGenerator[Feed, None]:
    """Every feed that differs in its update, until the server closes."""
    async with transport.websocket("/ws") as socket:
        await socket.send_str(feed.subscription().model_dump_json(by_alias=True, exclude_none=True))
        async for frame in socket:
            if frame.type is not aiohttp.WSMsgType.TEXT:
                return
            following = feed.accept(_parse(frame.data))
            changed = following.update != feed.update
            feed = following
            if changed:
                yield feed


def _parse(text: str) -> ServerMessage:
    try:
        return ServerMessage.model_validate_json(text)
    except ValidationError as error:
        raise ProtocolError("the server sent a WebSocket message that this client cannot read") from error


async def poll_job(
    transport: Transport,
    name: str,
    settings: WatchSettings,
    *,
    last: JobUpdate | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Updates:
    """The same by `GET /tasks/{name}`, as often as the server's growing Retry-After asks for."""
    call = Call("GET", f"{API_PREFIX}/tasks/{segment(name)}")
    heard = clock()
    while True:
        pause = settings.poll_seconds
        try:
            task = await transport.read(call, Task)
        except ClientError as error:
            if not is_transient(error) or clock() - heard > settings.patience:
                raise
        else:
            heard = clock()
            update = job_update(task)
            if update != last:
                yield update
            if task.done:
                return
            last = update
            pause = float(task.retry_after_seconds or settings.poll_seconds)
        await asyncio.sleep(min(pause, settings.longest_poll_seconds))


def job_update(task: Task) -> JobUpdate:
    return JobUpdate.model_validate(task.model_dump(include=set(JobUpdate.model_fields)))
