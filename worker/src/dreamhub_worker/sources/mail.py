"""E-mail as a source: folders of an IMAP server, or mailboxes in files. One document for each message."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from dreamhub.crd.ingest_source import ImapMailbox, MailSource
from dreamhub.errors import InvalidInputError, NotFoundError, TooLargeError
from dreamhub.ids import new_id
from dreamhub_worker.fetch_guard import IMAP_PORTS, FetchGuard
from dreamhub_worker.sources.credentials import build_tls, require_entry
from dreamhub_worker.sources.mail_client import Account, Envelope, Mailbox, open_mailbox
from dreamhub_worker.sources.mail_mbox import MboxFiles
from dreamhub_worker.sources.mail_message import MEDIA_TYPE, REVISION, message_key, message_name
from dreamhub_worker.sources.mail_plan import Plan, plan_reading
from dreamhub_worker.sources.source import Begin, Checkpoint, Complete, Event, Found, Skipped, Source, SourceContext

BATCH = 100
"""Messages whose headers are asked for together, and that lie between two checkpoints."""
_AHEAD_BYTES = 4 * 2**20
"""Of small messages that are fetched together, when the first of them is wanted."""


def mail_source(config: Mapping[str, Any], context: SourceContext) -> Source:
    """The factory of the kind `mail`."""
    parsed = MailSource.model_validate(_with_secret(config))
    if parsed.imap is not None:
        return ImapFolders(parsed.imap, context)
    if parsed.mbox is not None:
        return MboxFiles(parsed.mbox.prefix, context)
    raise InvalidInputError("the mail source names neither imap nor mbox; give one of them", code="BadJobInput")


def _with_secret(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config as in the resource: its Secret has become files by now, and the name is not handed on."""
    imap = config.get("imap")
    return {**config, "imap": {"secretRef": {"name": "mounted"}, **imap}} if imap else dict(config)


class ImapFolders:
    def __init__(self, config: ImapMailbox, context: SourceContext) -> None:
        self._config, self._context = config, context
        self._account = _account(config, context.secret)
        self._tls = build_tls(context.secret)

    async def read(self, checkpoint: Checkpoint | None) -> AsyncIterator[Event]:
        guard = FetchGuard(tuple(self._context.private_networks), IMAP_PORTS)
        state = checkpoint.state if checkpoint is not None else None
        if state is not None and state.get("account") != self._account.username:
            state = None
        async with open_mailbox(self._account, guard, self._tls) as mailbox:
            now = {name: await mailbox.look(name) for name in self._config.folders}
            plan = plan_reading(now, state)
            reading = _Reading(mailbox, self._context, plan, self._account.username)
            async for event in reading.tell(first=state is None):
                yield event


def _account(config: ImapMailbox, secret: Mapping[str, str]) -> Account:
    implicit = config.tls == "Implicit"
    token = secret.get("token", "").strip()
    return Account(
        host=config.host,
        port=config.port or (993 if implicit else 143),
        implicit_tls=implicit,
        username=require_entry(secret, "username"),
        password="" if token else require_entry(secret, "password"),
        token=token and require_entry(secret, "token"),
    )


@dataclass
class _Reading:
    mailbox: Mailbox
    context: SourceContext
    plan: Plan
    account: str
    _seen: set[str] = field(default_factory=set)

    async def tell(self, *, first: bool) -> AsyncIterator[Event]:
        """A first reading keeps checkpoints on its way; one that tells all again only at its end."""
        if self.plan.everything:
            yield Begin()
        for folder, uids in self.plan.todo.items():
            for start in range(0, len(uids), BATCH):
                batch = uids[start : start + BATCH]
                async for event in self._tell_batch(folder, batch):
                    yield event
                self.plan.marks[folder].advance(batch)
                if first or not self.plan.everything:
                    yield Checkpoint(self._state())
        yield Complete(self._state()) if self.plan.everything else Checkpoint(self._state())

    def _state(self) -> dict[str, Any]:
        return {"account": self.account, "folders": {name: mark.to_json() for name, mark in self.plan.marks.items()}}

    async def _tell_batch(self, folder: str, uids: Sequence[int]) -> AsyncIterator[Event]:
        envelopes = await self.mailbox.envelopes(folder, uids)
        bodies = _Bodies(self.mailbox, self.context, folder, envelopes)
        for envelope in envelopes:
            key = message_key(envelope.headers, f"uid:{folder}/{self.plan.marks[folder].validity}/{envelope.uid}")
            if key in self._seen:
                continue
            self._seen.add(key)
            if envelope.size > self.context.size_limit:
                limit = self.context.size_limit
                cause = f"the message is above the limit of {limit} bytes"
                yield Skipped(key, "TooLarge", cause, message_name(envelope.headers))
                continue
            data = partial(bodies.fetch, envelope)
            yield Found(key, message_name(envelope.headers), MEDIA_TYPE, data, REVISION, modified=envelope.received)


@dataclass
class _Bodies:
    """The contents of a batch: small messages come together, since who wants one new message wants the next."""

    mailbox: Mailbox
    context: SourceContext
    folder: str
    envelopes: Sequence[Envelope]
    _ahead: dict[int, bytes] = field(default_factory=dict)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def fetch(self, envelope: Envelope) -> bytes | Path:
        """Raises NotFoundError for a message that was expunged meanwhile."""
        if envelope.size > _AHEAD_BYTES:
            return await self._save(envelope)
        async with self._lock:
            if envelope.uid not in self._ahead:
                wanted = self._following(envelope)
                size = sum(each.size for each in wanted)
                self._ahead.update(await self.mailbox.messages(self.folder, [each.uid for each in wanted], size))
        data = self._ahead.pop(envelope.uid, None)
        if data is None:
            raise NotFoundError("the message was deleted while it was read", code="MessageGone")
        return data

    def _following(self, first: Envelope) -> list[Envelope]:
        wanted, size = [first], first.size
        for envelope in self.envelopes:
            if envelope.uid > first.uid:
                size += envelope.size
                if size > _AHEAD_BYTES:
                    break
                wanted.append(envelope)
        return wanted

    async def _save(self, envelope: Envelope) -> Path:
        path, limit, size = self.context.folder / f"message-{new_id('ver')}", self.context.size_limit, 0
        with path.open("wb") as file:
            async for piece in self.mailbox.pieces(self.folder, envelope.uid, envelope.size):
                size += len(piece)
                if size > limit:
                    raise TooLargeError(f"the message is above the limit of {limit} bytes")
                file.write(piece)
        return path
