"""One client's interest in one channel: where it is, and how messages for it look."""

from typing import Any, Literal, Protocol

from dreamhub.storage.progress import Position
from dreamhub_api.hub.outbox import Frame
from dreamhub_client.messages import ServerMessage

NOWHERE = Position("", 0)
"""The position of a channel that nothing has been written to yet."""


class Receiver(Protocol):
    """A connection, as feeds see it. `send` never blocks; a receiver that cannot keep up ends itself."""

    def send(self, frame: Frame) -> None: ...


class Subscription:
    def __init__(self, receiver: Receiver, channel: str) -> None:
        self._receiver = receiver
        self.channel = channel
        self._seen = NOWHERE

    def has_seen(self, position: Position) -> bool:
        return position.epoch == self._seen.epoch and position.offset <= self._seen.offset

    def snapshot(self, position: Position, data: dict[str, Any], *, recovered: bool | None) -> None:
        """Everything there is."""
        self._send(self._message("snapshot", position, data, recovered=recovered), self.channel)

    def delta(self, position: Position, data: dict[str, Any], slot: str, *, recovered: bool | None = None) -> None:
        """`slot` names, within the channel, the value that `data` is the latest of.

        A delta with `recovered` answers a subscribe: it is never replaced by a later one.
        """
        message = self._message("delta", position, data, recovered=recovered)
        self._send(message, None if recovered is not None else f"{self.channel}\0{slot}")

    def resumed(self, position: Position) -> None:
        """Nothing was missed."""
        self._send(self._message("subscribed", position, None, recovered=True), None)

    def error(self, code: str, text: str) -> None:
        self._send(ServerMessage(type="error", channel=self.channel, code=code, message=text), None)

    def _message(
        self,
        kind: Literal["snapshot", "delta", "subscribed"],
        position: Position,
        data: dict[str, Any] | None,
        *,
        recovered: bool | None,
    ) -> ServerMessage:
        self._seen = position
        return ServerMessage(
            type=kind,
            channel=self.channel,
            epoch=position.epoch,
            offset=position.offset,
            recovered=recovered,
            data=data,
        )

    def _send(self, message: ServerMessage, slot: str | None) -> None:
        self._receiver.send(Frame(encode(message), slot))


def encode(message: ServerMessage) -> str:
    return message.model_dump_json(by_alias=True, exclude_none=True)
