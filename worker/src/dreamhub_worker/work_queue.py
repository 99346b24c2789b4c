"""Where a worker gets the next documents of its run from.

A run of one worker asks the database. Several take from the run's stream in Redis, which gives each document to one of
them; while Redis is away they ask the database too, each from another place of the list, and the claims keep them
apart.
"""

from collections.abc import Callable, Container, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

import structlog

from dreamhub.domain.deliveries import Delivery, Taken
from dreamhub.errors import UnavailableError
from dreamhub.sql.connections import Connection
from dreamhub.sql.ingest import count_refill
from dreamhub.sql.landing import LEASE_SECONDS, RunAttempt
from dreamhub.sql.work_items import list_free_items, list_open_items

Connect = Callable[[], AbstractAsyncContextManager[Connection]]

PAGE = 1000
"""Items of one fill of the stream."""

TAKEN_AT_ONCE = 16
"""At most; the fewer are left, the fewer a worker takes, so that the last ones are shared."""

UNCHANGED_AT_ONCE = 128
"""At most, while all that is taken turns out to be unchanged, which is done for all together."""

_NOWHERE = ""
"""Entry of an item that came from the database."""

log = structlog.get_logger()


class WorkQueue(Protocol):
    """All methods raise UnavailableError when the database does not answer; Redis never makes them fail."""

    async def take(self, held: Container[str], count: int = TAKEN_AT_ONCE) -> Sequence[Delivery]:
        """At most `count` documents to do, those `held` by this worker left out. Empty: nothing at the moment."""

    async def fill(self, lacking: int | None = None) -> None:
        """Let others see what was enqueued. `lacking`: so many are open, and there may be fewer in the stream."""

    async def settle(self, deliveries: Sequence[Delivery]) -> None:
        """These have their outcome."""

    async def beat(self, deliveries: Sequence[Delivery]) -> None:
        """These are still at work."""


@dataclass
class Ledger:
    """The database's list of open items, read from a place on and around; what others are at is left out."""

    connect: Connect
    run: RunAttempt
    after: int = 0

    async def take(self, held: Container[str], count: int = TAKEN_AT_ONCE) -> Sequence[Delivery]:
        async with self.connect() as conn:
            items = await list_free_items(conn, self.run, LEASE_SECONDS, after=self.after, limit=count)
            if not items and self.after >= 0:
                items = await list_free_items(conn, self.run, LEASE_SECONDS, limit=count)
        self.after = items[-1].position if items else -1
        return [Delivery(item.version_id, _NOWHERE) for item in items if item.version_id not in held]

    async def fill(self, lacking: int | None = None) -> None:
        """Whoever asks finds what is there."""

    async def settle(self, deliveries: Sequence[Delivery]) -> None:
        """The outcome is settled where it is recorded."""

    async def beat(self, deliveries: Sequence[Delivery]) -> None:
        """The run's own heartbeat is enough."""


class Stream(Protocol):
    """`dreamhub.storage.work_stream.WorkStream`, whose client is imported when it is needed."""

    async def fill(self, items: Sequence[str]) -> int: ...
    async def take(self, consumer: str, count: int, lease_seconds: float, *, own: bool = False) -> Taken: ...
    async def beat(self, consumer: str, deliveries: Sequence[Delivery]) -> int: ...
    async def settle(self, deliveries: Sequence[Delivery]) -> None: ...


@dataclass
class SharedQueue:
    """The stream, with the ledger behind it."""

    stream: Stream
    ledger: Ledger
    run: RunAttempt
    workers: int
    _left: int = 0
    """Items in the stream when it was last asked."""
    _lacked: bool = False
    """Whether it lacked items the last time that it was compared with the database."""
    _begun: bool = False
    _away: bool = False
    _filled_to: int = -1

    async def take(self, held: Container[str], count: int = TAKEN_AT_ONCE) -> Sequence[Delivery]:
        try:
            return await self._take(held, count)
        except UnavailableError as error:
            self._note(away=True, reason=error.message)
            return await self.ledger.take(held, count=1)

    async def _take(self, held: Container[str], count: int) -> Sequence[Delivery]:
        own = not self._begun
        if own:
            await self.fill()
        fair = max(1, min(count, self._left // (4 * self.workers)))
        taken = await self.stream.take(str(self.run.worker), fair, LEASE_SECONDS, own=own)
        self._begun, self._left = True, taken.left
        self._note(away=False)
        return [delivery for delivery in taken.deliveries if delivery.item not in held]

    async def fill(self, lacking: int | None = None) -> None:
        """From the database, what the stream does not have.

        What it merely lacks for a moment, because somebody else is about to fill it, is left to them: a lack counts
        when it is seen twice.
        """
        if lacking is None:
            await self._fill(self._filled_to)
            return
        lacks = lacking > self._left
        if lacks and self._lacked:
            added = await self._fill(-1)
            if added:
                log.warning("work_refilled", uid=self.run.uid, items=added)
                async with self.ledger.connect() as conn:
                    await count_refill(conn, self.run.uid)
        self._lacked = lacks and not self._lacked

    async def _fill(self, after: int) -> int:
        added = 0
        while True:
            async with self.ledger.connect() as conn:
                items = await list_open_items(conn, self.run.uid, after=after, limit=PAGE)
            if not items:
                self._filled_to = max(self._filled_to, after)
                return added
            try:
                added += await self.stream.fill([item.version_id for item in items])
            except UnavailableError as error:
                self._note(away=True, reason=error.message)
                return added
            after = items[-1].position

    async def settle(self, deliveries: Sequence[Delivery]) -> None:
        try:
            await self.stream.settle([delivery for delivery in deliveries if delivery.entry != _NOWHERE])
        except UnavailableError as error:  # they are delivered again, and found settled
            self._note(away=True, reason=error.message)

    async def beat(self, deliveries: Sequence[Delivery]) -> None:
        try:
            await self.stream.beat(
                str(self.run.worker), [delivery for delivery in deliveries if delivery.entry != _NOWHERE]
            )
        except UnavailableError as error:
            self._note(away=True, reason=error.message)

    def _note(self, *, away: bool, reason: str = "") -> None:
        """Told once each way."""
        if away and not self._away:
            log.warning("work_stream_away", uid=self.run.uid, reason=reason)
        elif self._away and not away:
            log.info("work_stream_back", uid=self.run.uid)
        self._away = away
