"""Large messages come in pieces, and servers only guess at how large they are."""

from typing import Any, cast

import pytest

from dreamhub.errors import NotFoundError
from dreamhub_worker.sources import mail_client
from dreamhub_worker.sources.mail_client import Mailbox


class Server:
    """One message, whose pieces it gives as a server does: a literal, an empty word behind the end, or nothing."""

    left = 0

    def __init__(self, body: bytes | None) -> None:
        self.body = body

    def select(self, *_: object, **__: object) -> tuple[str, list[bytes]]:
        return "OK", [b"1"]

    def uid(self, _name: str, _uids: str, items: str) -> tuple[str, list[Any]]:
        if self.body is None:
            return "OK", [None]
        start, length = map(int, items.partition("<")[2].partition(">")[0].split("."))
        piece = self.body[start : start + length]
        said = b"1 (UID 7 BODY[]<%d> " % start
        return "OK", [(said + b"{%d}" % len(piece), piece), b")"] if piece else [said + b'"")']


async def fetch(body: bytes | None, told: int) -> bytes:
    mailbox = Mailbox(cast("Any", Server(body)))
    return b"".join([piece async for piece in mailbox.pieces("INBOX", 7, told)])


@pytest.mark.parametrize("told", [1, 9, 10, 11, 20, 100])
@pytest.mark.parametrize("length", [8, 10, 20, 25])
async def test_a_message_is_whole_whatever_its_size_is_said_to_be(
    told: int, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_client, "_PIECE", 10)
    body = bytes(range(length))
    assert await fetch(body, told) == body


async def test_a_message_that_is_gone() -> None:
    with pytest.raises(NotFoundError):
        await fetch(None, 100)
