"""One WebSocket: a reader that obeys, a writer that empties the outbox, a watch over the token."""

import asyncio
from typing import Final

import structlog
from aiohttp import WSMsgType, web
from pydantic import ValidationError

from dreamhub.errors import DreamHubError, InvalidInputError, LimitExceededError
from dreamhub.storage.progress import Position
from dreamhub_api.auth.authenticator import Authenticator
from dreamhub_api.auth.principal import Principal
from dreamhub_api.hub.channels import Channel, parse_channel
from dreamhub_api.hub.hub import Hub
from dreamhub_api.hub.outbox import Frame, Outbox, SlowReaderError
from dreamhub_api.hub.subscription import Subscription, encode
from dreamhub_api.problems import from_validation
from dreamhub_client.messages import ClientMessage, ServerMessage

HEARTBEAT_SECONDS = 25.0
MAX_MESSAGE_BYTES = 16_384
MAX_SUBSCRIPTIONS = 64
RECHECK_SECONDS = 30.0
CLOSE_SECONDS = 5.0

GOING_AWAY: Final = 1001
TRY_AGAIN: Final = 1013
TOKEN_EXPIRED: Final = 4401

NOBODY_TELLS = frozenset({"KubernetesUnavailable", "IssuerUnavailable"})
"""A token that was good stays so until it expires while whoever would verify it is away."""

CLOSE_BYTES = 123
"""RFC 6455: all that a close frame can say."""

_log = structlog.get_logger(__name__)


class Connection:
    """`reason` says afterwards why it ended: client, slow, expired, shutdown or error."""

    def __init__(self, socket: web.WebSocketResponse, principal: Principal, hub: Hub) -> None:
        self._socket = socket
        self._principal = principal
        self._hub = hub
        self._outbox = Outbox()
        self._subscriptions: dict[str, tuple[Channel, Subscription]] = {}
        self._ending: asyncio.Task[None] | None = None
        self.reason = "client"

    async def run(self, authenticator: Authenticator) -> None:
        """Serve until either side ends it."""
        background = [asyncio.create_task(self._write()), asyncio.create_task(self._recheck(authenticator))]
        try:
            await self._read()
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            for channel, subscription in self._subscriptions.values():
                self._hub.unsubscribe(self._principal.tenant, channel, subscription)
            if self._ending is not None:
                await self._ending

    def send(self, frame: Frame) -> None:
        """Called by feeds. A reader that is too slow is told to come back and resume."""
        try:
            self._outbox.put(frame)
        except SlowReaderError:
            self.end("slow", TRY_AGAIN, b"too slow; resume from your last offset")

    def end(self, reason: str, code: int, message: bytes) -> None:
        if self._ending is None:
            self.reason = reason
            self._ending = asyncio.create_task(self._close(code, message))

    async def _close(self, code: int, message: bytes) -> None:
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._socket.close(code=code, message=message, drain=False)
        except TimeoutError:
            return

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type is not WSMsgType.TEXT:
                self._complain(None, InvalidInputError("only JSON text frames are understood", code="BadMessage"))
                continue
            await self._obey(message.data)
        if self._socket.exception() is not None:
            self.reason = "error"

    async def _write(self) -> None:
        while True:
            text = await self._outbox.take()
            try:
                await self._socket.send_str(text)
            except (ConnectionError, RuntimeError):  # closed while sending: the reader sees it too and ends
                return

    async def _recheck(self, authenticator: Authenticator) -> None:
        while True:
            try:
                await authenticator.verify_again(self._principal)
            except DreamHubError as error:
                if error.code not in NOBODY_TELLS:
                    self.end("expired", TOKEN_EXPIRED, error.message.encode()[:CLOSE_BYTES])
                    return
                _log.info("a connection's token is verified later", code=error.code)
            await asyncio.sleep(min(RECHECK_SECONDS, authenticator.seconds_left(self._principal)))

    async def _obey(self, text: str) -> None:
        channel = None
        try:
            message = _parse(text)
            channel = message.channel
            if message.op == "ping":
                self.send(Frame(encode(ServerMessage(type="pong"))))
            elif message.op == "subscribe":
                await self._subscribe(message)
            else:
                self._unsubscribe(message)
        except DreamHubError as error:
            self._complain(channel, error)

    async def _subscribe(self, message: ClientMessage) -> None:
        channel = parse_channel(message.channel or "", self._principal.tenant)
        if channel.name in self._subscriptions:
            self._leave(channel.name)
        if len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            raise LimitExceededError(
                f"a connection holds at most {MAX_SUBSCRIPTIONS} subscriptions; use the channel jobs",
                code="TooManySubscriptions",
            )
        subscription = Subscription(self, channel.name)
        since = Position(message.since.epoch, message.since.offset) if message.since else None
        await self._hub.subscribe(self._principal.tenant, channel, subscription, since)
        self._subscriptions[channel.name] = (channel, subscription)

    def _unsubscribe(self, message: ClientMessage) -> None:
        channel = parse_channel(message.channel or "", self._principal.tenant)
        self._leave(channel.name)
        self.send(Frame(encode(ServerMessage(type="unsubscribed", channel=channel.name))))

    def _leave(self, name: str) -> None:
        held = self._subscriptions.pop(name, None)
        if held is not None:
            self._hub.unsubscribe(self._principal.tenant, *held)
            self._outbox.discard(name)

    def _complain(self, channel: str | None, error: DreamHubError) -> None:
        message = ServerMessage(type="error", channel=channel, code=error.code, message=error.message)
        self.send(Frame(encode(message)))


def _parse(text: str) -> ClientMessage:
    try:
        message = ClientMessage.model_validate_json(text)
    except ValidationError as error:
        raise InvalidInputError(from_validation("message", error).message, code="BadMessage") from error
    if message.op != "ping" and message.channel is None:
        raise InvalidInputError(f"{message.op} needs a channel", code="BadMessage")
    return message
