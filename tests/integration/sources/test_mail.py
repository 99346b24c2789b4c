"""Mail folders of a real Dovecot, and mailboxes in files: what is told, what is fetched, what is gone."""

import asyncio
import secrets
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from dreamhub.errors import InvalidInputError, UnavailableError
from dreamhub_worker.sources import mail_client
from dreamhub_worker.sources.mail import BATCH, mail_source
from dreamhub_worker.sources.source import Event, Found, ObjectEntry
from tests.integration.servers import temporary_folder
from tests.integration.sources.certificates import Certificate, make_certificate
from tests.integration.sources.conftest import LOOPBACK
from tests.integration.sources.dovecot import Dovecot, message, run_dovecot
from tests.integration.sources.library import Library, left_in


@pytest_asyncio.fixture(scope="module")
async def introspection() -> AsyncIterator[str]:
    """Says that exactly one token is good."""

    async def answer(request: web.Request) -> web.Response:
        token = request.path.rpartition("/")[2].partition("&")[0]
        return web.json_response({"active": token == "good-token", "username": "ada"})

    app = web.Application()
    app.router.add_get("/{token}", answer)
    async with TestServer(app, host="127.0.0.1") as server:
        yield str(server.make_url("/"))


@pytest.fixture(scope="module")
def dovecot(introspection: str) -> Iterator[Dovecot]:
    with temporary_folder() as folder, run_dovecot(folder, make_certificate(folder), introspection) as server:
        yield server


@pytest.fixture
def user() -> str:
    return f"user-{secrets.token_hex(4)}"


def mailbox(dovecot: Dovecot, user: str, folder: Path, **imap: Any) -> Library:
    config = {"imap": {"host": "localhost", "port": dovecot.tls, **imap}}
    return Library(mail_source, config, folder, secret=dovecot.secret(user), networks=LOOPBACK)


async def test_a_first_reading_tells_every_message(dovecot: Dovecot, user: str, tmp_path: Path) -> None:
    first = message("Grüße aus Köln", "Über alles.", "<one@example.com>")
    dovecot.deliver(user, [first, message("Second")])
    library = mailbox(dovecot, user, tmp_path)
    reading = await library.read()
    found = reading.found["mid:<one@example.com>"]
    assert (found.name, found.media_type) == ("Grüße aus Köln", "message/rfc822")
    assert found.modified == datetime.fromtimestamp(1_700_000_000, UTC)
    assert library.items["mid:<one@example.com>"] == first
    assert len(reading.found) == 2
    assert reading.complete


async def test_a_second_reading_fetches_new_messages_only(dovecot: Dovecot, user: str, tmp_path: Path) -> None:
    dovecot.deliver(user, [message(f"{n}") for n in range(3)])
    library = mailbox(dovecot, user, tmp_path)
    await library.read()
    nothing = await library.read()
    assert (nothing.found, nothing.complete) == ({}, False)
    dovecot.deliver(user, [message("new", message_id="<new@x>")])
    assert list((await library.read()).found) == ["mid:<new@x>"]


@pytest.mark.parametrize("expunge", [True, False], ids=["expunged", "flagged"])
async def test_deleted_messages_are_gone(dovecot: Dovecot, user: str, tmp_path: Path, *, expunge: bool) -> None:
    dovecot.deliver(user, [message(f"{n}", message_id=f"<{n}@x>") for n in range(3)])
    library = mailbox(dovecot, user, tmp_path)
    await library.read()
    dovecot.delete(user, 2, expunge=expunge)
    dovecot.deliver(user, [message("3", message_id="<3@x>")])
    reading = await library.read()
    assert reading.gone == ["mid:<1@x>"]
    assert reading.opened == ["mid:<3@x>"]
    assert sorted(library.items) == ["mid:<0@x>", "mid:<2@x>", "mid:<3@x>"]


async def test_what_came_later_is_gone_as_well_when_it_is_deleted(dovecot: Dovecot, user: str, tmp_path: Path) -> None:
    dovecot.deliver(user, [message("first", message_id="<first@x>")])
    library = mailbox(dovecot, user, tmp_path)
    await library.read()
    dovecot.deliver(user, [message("later", message_id="<later@x>")])
    await library.read()
    dovecot.delete(user, 2)
    assert (await library.read()).gone == ["mid:<later@x>"]


async def test_a_folder_numbered_anew_fetches_nothing_again(dovecot: Dovecot, user: str, tmp_path: Path) -> None:
    dovecot.deliver(user, [message("with", message_id="<with@x>"), message("without")])
    library = mailbox(dovecot, user, tmp_path)
    [before] = [key for key in (await library.read()).found if not key.startswith("mid:")]
    dovecot.renumber(user)
    reading = await library.read()
    assert len(reading.found) == 2
    assert "mid:<with@x>" not in reading.opened
    assert reading.gone == [before]
    assert len(library.items) == 2


async def test_folders_share_their_messages(dovecot: Dovecot, user: str, tmp_path: Path) -> None:
    twice = message("twice", message_id="<twice@x>")
    dovecot.deliver(user, [twice])
    dovecot.deliver(user, [twice, message("Entwürfe", message_id="<draft@x>")], folder="Entw&APw-rfe &- mehr")
    library = mailbox(dovecot, user, tmp_path, folders=["INBOX", "Entwürfe & mehr"])
    assert sorted((await library.read()).opened) == ["mid:<draft@x>", "mid:<twice@x>"]
    dovecot.delete(user, 1)
    reading = await library.read()
    assert (reading.gone, reading.opened) == ([], [])
    dovecot.delete(user, 1, folder="Entw&APw-rfe &- mehr")
    assert (await library.read()).gone == ["mid:<twice@x>"]


async def test_large_messages_come_in_pieces_and_too_large_ones_not_at_all(
    dovecot: Dovecot, user: str, tmp_path: Path
) -> None:
    line = "0123456789 " * 6 + "\n"
    large, huge = message("large", line * 100_000, "<large@x>"), message("huge", line * 200_000, "<huge@x>")
    dovecot.deliver(user, [large, huge, message("small", message_id="<small@x>")])
    library = mailbox(dovecot, user, tmp_path)
    library.size_limit = len(large)
    reading = await library.read()
    assert library.items["mid:<large@x>"] == large
    assert reading.skipped == {"mid:<huge@x>": "TooLarge"}
    assert "mid:<small@x>" in library.items
    assert left_in(tmp_path) == []


async def test_a_killed_reading_goes_on(dovecot: Dovecot, user: str, tmp_path: Path) -> None:
    dovecot.deliver(user, [message(f"{n}", message_id=f"<{n}@x>") for n in range(BATCH + 20)])
    library = mailbox(dovecot, user, tmp_path)

    def killed(event: Event) -> bool:
        return isinstance(event, Found) and event.key == f"mid:<{BATCH + 10}@x>"

    await library.read(killed)
    rest = await library.read()
    assert len(rest.found) == 20
    assert len(library.items) == BATCH + 20


async def test_start_tls_before_anything_is_said(dovecot: Dovecot, user: str, tmp_path: Path) -> None:
    dovecot.deliver(user, [message("x")])
    assert len((await mailbox(dovecot, user, tmp_path, port=dovecot.plain, tls="StartTLS").read()).found) == 1


async def test_a_token_in_place_of_the_password(dovecot: Dovecot, tmp_path: Path) -> None:
    dovecot.deliver("ada", [message("x")])
    library = mailbox(dovecot, "ada", tmp_path)
    authority = dovecot.certificate.authority
    library.secret = {"username": "ada", "token": "good-token", "ca.crt": authority}
    assert len((await library.read()).found) == 1
    library.secret = {"username": "ada", "token": "bad-token", "ca.crt": authority}
    with pytest.raises(InvalidInputError) as refused:
        await library.read()
    assert refused.value.code == "LoginRefused"


async def test_another_login_starts_afresh(dovecot: Dovecot, user: str, tmp_path: Path) -> None:
    dovecot.deliver(user, [message("mine", message_id="<mine@x>")])
    dovecot.deliver("other", [message("theirs", message_id="<theirs@x>")])
    library = mailbox(dovecot, user, tmp_path)
    await library.read()
    library.secret = dovecot.secret("other")
    reading = await library.read()
    assert (reading.opened, reading.gone) == (["mid:<theirs@x>"], ["mid:<mine@x>"])


async def test_what_a_person_must_mend_is_said(dovecot: Dovecot, user: str, tmp_path: Path) -> None:
    good = mailbox(dovecot, user, tmp_path)
    wrong_password = replace(good, secret={**good.secret, "password": "wrong"})
    unknown_authority = replace(good, secret={"username": user, "password": "x"})
    private = replace(good, networks=())
    no_folder = mailbox(dovecot, user, tmp_path, folders=["Nowhere"])
    codes = []
    for library in (wrong_password, unknown_authority, private, no_folder):
        with pytest.raises(InvalidInputError) as refused:
            await library.read()
        codes.append(refused.value.code)
    assert codes == ["LoginRefused", "BadCertificate", "AddressRefused", "NoSuchFolder"]
    with pytest.raises(InvalidInputError, match="no entry password"):
        replace(good, secret={"username": user}).source()


async def test_nobody_there_is_a_thing_that_passes(dovecot: Dovecot, user: str, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError):
        await mailbox(dovecot, user, tmp_path, port=9).read()


@dataclass
class Objects:
    """Files of the tenant's import folder."""

    files: dict[str, bytes]
    downloads: int = 0

    async def list(self, prefix: str) -> AsyncIterator[ObjectEntry]:
        for key, data in sorted(self.files.items()):
            if key.startswith(prefix):
                yield ObjectEntry(key, len(data), str(hash(data)), datetime(2026, 1, 1, tzinfo=UTC))

    async def download(self, key: str, path: Path, limit: int) -> int:
        assert len(self.files[key]) <= limit
        self.downloads += 1
        return path.write_bytes(self.files[key])  # noqa: ASYNC240 - a test's small file


def mbox(*messages: bytes) -> bytes:
    quoted = (mail.replace(b"\r\n", b"\n").replace(b"\nFrom ", b"\n>From ") for mail in messages)
    return b"".join(b"From ada@example.com Thu Jan  1 00:00:00 2026\n" + mail + b"\n" for mail in quoted)


async def test_mailboxes_in_files_are_split(tmp_path: Path) -> None:
    one, two = message("One", "From here on.\nEnd.", "<1@x>"), message("Two", message_id="<2@x>")
    objects = Objects({"mail/a.mbox": mbox(one, two), "mail/b.mbox": mbox(two), "other/c": mbox(message("Other"))})
    library = Library(mail_source, {"mbox": {"prefix": "mail/"}}, tmp_path, links=objects)
    first = await library.read()
    assert sorted(first.opened) == ["mid:<1@x>", "mid:<2@x>"]
    assert library.items["mid:<1@x>"].rstrip() == one.replace(b"\r\n", b"\n").rstrip()
    before = objects.downloads
    assert (await library.read()).found == {}
    assert objects.downloads == before
    objects.files["mail/a.mbox"] = mbox(one, message("Three", message_id="<3@x>"))
    del objects.files["mail/b.mbox"]
    second = await library.read()
    assert (second.opened, second.gone) == (["mid:<3@x>"], ["mid:<2@x>"])
    assert left_in(tmp_path) == []


async def test_files_that_are_no_mailboxes_and_messages_too_large_are_left_out(tmp_path: Path) -> None:
    huge = message("Huge", "x" * 70 + "\n" * 2000, "<huge@x>")
    objects = Objects({"m/a": mbox(huge, message("Small", message_id="<small@x>")), "m/b": b"%PDF-1.7", "m/c": b""})
    library = Library(mail_source, {"mbox": {"prefix": "m/"}}, tmp_path, links=objects, size_limit=1000)
    reading = await library.read()
    assert reading.opened == ["mid:<small@x>"]
    assert reading.skipped == {"mid:<huge@x>": "TooLarge", "m/b": "NotAMailbox"}


@dataclass
class HostileServer:
    """Speaks IMAP until it is asked for messages; answers that with what it likes."""

    answer: bytes
    offers: bytes = b"AUTH=PLAIN"
    said: list[bytes] = field(default_factory=list)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            writer.write(b"* OK [CAPABILITY IMAP4rev1 " + self.offers + b"] ready\r\n")
            while line := await reader.readline():
                self.said.append(line)
                writer.write(self._reply(*line.split(maxsplit=2)))
                await writer.drain()
            writer.close()

    def _reply(self, tag: bytes, command: bytes = b"", rest: bytes = b"") -> bytes:
        if command == b"AUTHENTICATE":
            return b"+ \r\n"
        if command == b"UID" and rest.startswith(b"FETCH"):
            return self.answer
        untagged = {
            b"CAPABILITY": b"* CAPABILITY IMAP4rev1 " + self.offers + b"\r\n",
            b"EXAMINE": b"* 1 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n* OK [UIDNEXT 2] x\r\n",
            b"UID": b"* SEARCH 1\r\n",
            b"LOGOUT": b"* BYE x\r\n",
        }
        tag = tag if command else self.said[-2].split()[0]  # behind the credentials, which are a line of their own
        return untagged.get(command, b"") + tag + b" OK done\r\n"


@asynccontextmanager
async def run_hostile(server: HostileServer, certificate: Certificate, *, tls: bool = True) -> AsyncIterator[int]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.certificate, certificate.key)
    running = await asyncio.start_server(server.talk, "127.0.0.1", 0, ssl=context if tls else None)
    async with running:
        yield running.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (b"* 1 FETCH (UID 1 BODY[] {9999999999}\r\n", "larger than what was asked for"),
        (b"* 1 FETCH (UID 1 BODY[] {100000000}\r\n" + b"x" * 1000, "larger than what was asked for"),
        ((b"* 1 FETCH (UID 1 FLAGS (" + b"x" * 1000 + b"))\r\n") * 10_000, "larger than what was asked for"),
        (b"* " + b"x" * 2_000_000, "got more than 1000000 bytes"),
        (b"garbage\r\n", "unexpected response"),
        (b"", ""),
    ],
    ids=["huge literal", "large literal", "endless answers", "endless line", "garbage", "nothing"],
)
async def test_a_hostile_server_ends_the_reading_and_nothing_else(
    dovecot: Dovecot, tmp_path: Path, answer: bytes, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not answer:
        monkeypatch.setattr(mail_client, "_COMMAND_SECONDS", 8.0)
    server = HostileServer(answer)
    async with run_hostile(server, dovecot.certificate) as port:
        library = mailbox(dovecot, "ada", tmp_path, port=port)
        with pytest.raises(UnavailableError) as ended:
            await library.read()
    assert cause in str(ended.value.__cause__)
    assert any(b" FETCH " in line for line in server.said)
    assert library.items == {}


async def test_without_tls_no_password_is_sent(dovecot: Dovecot, tmp_path: Path) -> None:
    server = HostileServer(b"", offers=b"AUTH=PLAIN")
    async with run_hostile(server, dovecot.certificate, tls=False) as port:
        with pytest.raises(InvalidInputError) as refused:
            await mailbox(dovecot, "ada", tmp_path, port=port, tls="StartTLS").read()
    assert refused.value.code == "InsecureCredentials"
    assert {line.split()[1].upper() for line in server.said} <= {b"CAPABILITY", b"LOGOUT"}
