"""An IMAP mailbox, read-only, through the guard, over TLS, with limits.

The standard library's client in a thread: the asynchronous ones are GPL. What it leaves open is closed here: how much
a server may send for one command, how long that may take, and where it connects to.
"""

import asyncio
import base64
import imaplib
import re
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from typing_extensions import override

from dreamhub.errors import DreamHubError, InvalidInputError, NotFoundError, UnavailableError
from dreamhub_worker.fetch_guard import AddressRefusedError, FetchGuard
from dreamhub_worker.sources.mail_message import read_headers
from dreamhub_worker.sources.mail_plan import FolderNow
from dreamhub_worker.sources.web_fetch import away, bad_certificate, is_unknown_host, refused, unknown_host

T = TypeVar("T")

_CONNECT_SECONDS = 30.0
_COMMAND_SECONDS = 300.0
_OVERHEAD = 4 * 2**20
"""Bytes of one command's answer beside the messages in it."""
_UID_WINDOW = 50_000
"""Numbers asked for at once: the answer is one line, and the library takes lines of a megabyte."""
_PIECE = 4 * 2**20
"""Of a large message that is fetched at once."""
_HEADERS = "BODY.PEEK[HEADER.FIELDS (MESSAGE-ID SUBJECT)]"
_PASSING = re.compile(rb"\[(UNAVAILABLE|INUSE|LIMIT|SERVERBUG|CONTACTADMIN)\]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Account:
    host: str
    port: int
    implicit_tls: bool
    username: str
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    """An OAuth access token, in place of the password."""


@dataclass(frozen=True, slots=True)
class Envelope:
    uid: int
    size: int
    received: datetime | None
    headers: dict[str, str] = field(repr=False)


class _Connection(imaplib.IMAP4):
    """The library's client on a guarded socket, that counts what it reads."""

    def __init__(self, account: Account, guard: FetchGuard, tls: ssl.SSLContext, opened: list[socket.socket]) -> None:
        self._account, self._guard, self._tls, self._opened = account, guard, tls, opened
        self.left = _OVERHEAD
        super().__init__(account.host, account.port, _CONNECT_SECONDS)

    @override
    def open(self, host: str = "", port: int = 0, timeout: float | None = None) -> None:
        self.host, self.port = host, port
        sock = self._guard.connect(host, port, timeout or _CONNECT_SECONDS)
        try:
            self.sock = self._tls.wrap_socket(sock, server_hostname=host) if self._account.implicit_tls else sock
            self.file = self.sock.makefile("rb")
            self._opened.append(self.sock)
        except BaseException:
            sock.close()
            raise

    @override
    def read(self, size: int) -> bytes:
        self._spend(size)
        return super().read(size)

    @override
    def readline(self) -> bytes:
        line = super().readline()
        self._spend(len(line))
        return line

    def _spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise self.abort("the answer is larger than what was asked for")

    def hang_up(self) -> None:
        _hang_up(self.sock)


@dataclass
class Mailbox:
    connection: _Connection
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _folder: str = ""

    async def look(self, name: str) -> FolderNow:
        """Which messages stand in a folder. Raises InvalidInputError `NoSuchFolder`."""
        async with self._lock:
            return await self._run(lambda: self._look(name))

    async def envelopes(self, folder: str, uids: Sequence[int]) -> list[Envelope]:
        """In order; what was expunged meanwhile is absent."""
        items = f"(UID RFC822.SIZE INTERNALDATE {_HEADERS})"
        async with self._lock:
            answer = await self._run(lambda: self._fetch(folder, uids, items, 0))
        return sorted(_envelopes(answer), key=lambda envelope: envelope.uid)

    async def messages(self, folder: str, uids: Sequence[int], size: int) -> dict[int, bytes]:
        """Whole messages of `size` bytes together, by number."""
        async with self._lock:
            answer = await self._run(lambda: self._fetch(folder, uids, "(UID BODY.PEEK[])", size))
        return dict(_bodies(answer))

    async def pieces(self, folder: str, uid: int, size: int) -> AsyncIterator[bytes]:
        """A large message, a few megabytes at a time, up to its end: some servers only guess at `size`.

        Raises NotFoundError when it was expunged meanwhile.
        """
        start, ends = 0, False
        while not ends:
            item = f"(UID BODY.PEEK[]<{start}.{_PIECE}>)"
            async with self._lock:
                answer = await self._run(partial(self._fetch, folder, [uid], item, _PIECE))
            piece = dict(_bodies(answer)).get(uid, b"")
            if not piece and not _is_told(answer, uid):
                raise NotFoundError("the message was deleted while it was read", code="MessageGone")
            start += len(piece)
            ends = not piece or (len(piece) < _PIECE and start >= size)
            yield piece

    async def _run(self, call: Callable[[], T]) -> T:
        """A command in a thread. Raises UnavailableError; whatever is given up is hung up on."""
        self.connection.left = _OVERHEAD
        try:
            async with asyncio.timeout(_COMMAND_SECONDS):
                return await asyncio.to_thread(call)
        except (OSError, imaplib.IMAP4.error) as error:
            self.connection.hang_up()
            raise _translate(error) from error
        except asyncio.CancelledError:
            self.connection.hang_up()
            raise

    def _select(self, name: str) -> None:
        if name == self._folder:
            return
        status, _ = self.connection.select(quote_folder(name), readonly=True)
        if status != "OK":
            raise InvalidInputError(
                "the mailbox has no such folder; correct spec.source.mail.imap.folders", code="NoSuchFolder"
            )
        self._folder = name

    def _look(self, name: str) -> FolderNow:
        self._folder = ""
        self._select(name)
        validity, end = self._number("UIDVALIDITY"), self._number("UIDNEXT")
        width = max(_UID_WINDOW, end // 1000)
        uids: list[int] = []
        for start in range(1, end, width):
            self.connection.left = _OVERHEAD
            found = self._command("SEARCH", "UNDELETED", "UID", f"{start}:{min(start + width, end) - 1}")
            uids += [int(number) for line in found if isinstance(line, bytes) for number in line.split()]
        return FolderNow(validity, sorted(set(uids)))

    def _number(self, name: str) -> int:
        _, values = self.connection.response(name)
        value = values[-1] if values else None
        if not isinstance(value, bytes) or not value.isdigit():
            raise UnavailableError(
                f"the mail server does not tell {name}; the next try may succeed", code="SourceUnavailable"
            )
        return int(value)

    def _fetch(self, folder: str, uids: Sequence[int], items: str, size: int) -> list[Any]:
        self._select(folder)
        self.connection.left = _OVERHEAD + size + size // 8
        return self._command("FETCH", ",".join(map(str, uids)), items)

    def _command(self, name: str, *arguments: str) -> list[Any]:
        status, answer = self.connection.uid(name, *arguments)
        if status != "OK":
            raise UnavailableError(
                f"the mail server refused {name}; the next try may succeed", code="SourceUnavailable"
            )
        return list(answer)


@asynccontextmanager
async def open_mailbox(account: Account, guard: FetchGuard, tls: ssl.SSLContext) -> AsyncIterator[Mailbox]:
    """Raises InvalidInputError `AddressRefused`, `UnknownHost`, `BadCertificate` or one about the login."""
    mailbox = Mailbox(await _connect(account, guard, tls))
    try:
        yield mailbox
    finally:
        await asyncio.to_thread(_close, mailbox.connection)


async def _connect(account: Account, guard: FetchGuard, tls: ssl.SSLContext) -> _Connection:
    opened: list[socket.socket] = []
    try:
        async with asyncio.timeout(_COMMAND_SECONDS):
            return await asyncio.to_thread(lambda: _log_in(_Connection(account, guard, tls, opened), account, tls))
    except BaseException as error:
        for sock in opened:
            _hang_up(sock)
        if isinstance(error, OSError | imaplib.IMAP4.error):
            raise _translate(error) from error
        raise


def _hang_up(sock: socket.socket) -> None:
    """Wakes the thread that waits for an answer."""
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _log_in(connection: _Connection, account: Account, tls: ssl.SSLContext) -> _Connection:
    try:
        if not account.implicit_tls:
            _start_tls(connection, tls)
        _authenticate(connection, account)
    except BaseException:
        _close(connection)
        raise
    return connection


def _start_tls(connection: _Connection, tls: ssl.SSLContext) -> None:
    if "STARTTLS" not in connection.capabilities:
        raise InvalidInputError(
            "the mail server offers no TLS on this port, and credentials are only sent over TLS; use tls: Implicit and "
            "the port for it, usually 993",
            code="InsecureCredentials",
        )
    connection.starttls(tls)


def _authenticate(connection: _Connection, account: Account) -> None:
    try:
        if account.token:
            said = f"user={account.username}\1auth=Bearer {account.token}\1\1"
            connection.authenticate("XOAUTH2", _once(said))
        elif "AUTH=PLAIN" in connection.capabilities:
            connection.authenticate("PLAIN", _once(f"\0{account.username}\0{account.password}"))
        else:
            connection.login(account.username, account.password)
    except imaplib.IMAP4.abort:
        raise
    except (imaplib.IMAP4.error, UnicodeEncodeError) as error:
        if _PASSING.search(str(error).encode()):
            raise away(error) from error
        raise InvalidInputError(
            "the mail server refuses the login; correct username and password, or token, in the source's Secret",
            code="LoginRefused",
        ) from error


def _once(text: str) -> Callable[[bytes], bytes]:
    """Answers the first challenge; a later one tells of a failure and is acknowledged by an empty line."""
    answers = iter([text.encode()])
    return lambda _challenge: next(answers, b"")


def _close(connection: _Connection) -> None:
    """Politely, if that takes no time."""
    with suppress(OSError, imaplib.IMAP4.error):
        connection.left = _OVERHEAD
        connection.sock.settimeout(5)
        connection.logout()
    with suppress(OSError):
        connection.shutdown()


def _translate(error: Exception) -> DreamHubError:
    if isinstance(error, AddressRefusedError):
        return refused()
    if is_unknown_host(error):
        return unknown_host()
    if isinstance(error, ssl.SSLCertVerificationError):
        return bad_certificate()
    return away(error)


def quote_folder(name: str) -> str:
    """A folder's name as IMAP writes it: in modified UTF-7 (RFC 3501, 5.1.3) and between quotes."""
    encoded = re.sub(r"&|[^ -~]+", lambda match: _utf7(match[0]), name)
    return '"' + encoded.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _utf7(text: str) -> str:
    if text == "&":
        return "&-"
    return "&" + base64.b64encode(text.encode("utf-16-be")).decode().rstrip("=").replace("/", ",") + "-"


def _items(answer: Sequence[Any]) -> list[tuple[bytes, bytes]]:
    """Each message's attributes, and the literal among them. The library gives (before, literal), then what follows."""
    items: list[tuple[bytes, bytes]] = []
    for part in answer:
        if isinstance(part, tuple):
            items.append((part[0], part[1]))
        elif isinstance(part, bytes) and items:
            items[-1] = (items[-1][0] + b" " + part, items[-1][1])
    return items


def _bodies(answer: Sequence[Any]) -> list[tuple[int, bytes]]:
    return [(uid, literal) for said, literal in _items(answer) if (uid := _attribute(said, b"UID")) is not None]


def _is_told(answer: Sequence[Any], uid: int) -> bool:
    """Whether the message is there: behind its end, servers answer with an empty word in place of a literal."""
    said = (part[0] if isinstance(part, tuple) else part for part in answer)
    return any(_attribute(each, b"UID") == uid for each in said if isinstance(each, bytes))


def _envelopes(answer: Sequence[Any]) -> list[Envelope]:
    found = []
    for said, literal in _items(answer):
        uid, size = _attribute(said, b"UID"), _attribute(said, b"RFC822.SIZE")
        if uid is not None and size is not None:
            found.append(Envelope(uid, size, _received(said), read_headers(literal)))
    return found


def _attribute(said: bytes, name: bytes) -> int | None:
    found = re.search(rb"(?:^|[ (])" + re.escape(name) + rb" (\d{1,20})(?=[ )]|$)", said)
    return int(found[1]) if found else None


def _received(said: bytes) -> datetime | None:
    moment = imaplib.Internaldate2tuple(said)
    try:
        return None if moment is None else datetime.fromtimestamp(time.mktime(moment), UTC)
    except (ValueError, OverflowError):
        return None
