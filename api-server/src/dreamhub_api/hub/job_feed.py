"""One job's progress for all of this instance's watchers: read from its Redis stream at each wake-up, once for all.

A message is a whole snapshot of the job, so the last one is enough; the stream's offset tells a reader that resumes
whether it has missed any. Changes of the resource alone (a phase) have no offset of their own: they are sent at the
present one, and every answer to a subscribe shows the present state.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from redis.asyncio import Redis

from dreamhub import names
from dreamhub.crd.ingest_job import IngestJob
from dreamhub.domain.progress import Progress
from dreamhub.errors import DreamHubError
from dreamhub.storage.progress import Deltas, Position, Snapshot, WakeUps, read_since
from dreamhub_api.hub.subscription import NOWHERE, Subscription
from dreamhub_api.views import job_update

SAFETY_SECONDS = 15.0
"""A wake-up can be lost with its connection; the stream is looked at this often in any case."""

RETRY_SECONDS = 1.0
_SLOT = "progress"

_log = structlog.get_logger(__name__)


class JobFeed:
    def __init__(self, redis: Redis, tenant: str, job: IngestJob) -> None:
        self._redis = redis
        self._tenant = tenant
        self._uid = job.metadata.uid
        self._job = job
        self._live: Progress | None = None
        self._position = NOWHERE
        self._subscriptions: set[Subscription] = set()
        self._joining = 0
        self._failing = False
        self._ended = False
        self._lock = asyncio.Lock()

    @property
    def uid(self) -> str:
        """Of the job. One that is made again under its name is another job, and has another feed."""
        return self._uid

    @property
    def empty(self) -> bool:
        """Whether nobody watches or is about to."""
        return not self._subscriptions and not self._joining

    async def run(self, wake_ups: WakeUps) -> None:
        """Until cancelled."""
        async with wake_ups.watch(names.progress_key(self._tenant, self._uid)) as woken:
            while True:
                await _wait(woken, await self._follow())

    async def _follow(self) -> float:
        """Read what is new; returns how long to wait at most. Whatever goes wrong, the feed lives and watchers know."""
        [error] = await asyncio.gather(self._read_alone(), return_exceptions=True)
        if error is None:
            self._failing = False
            return SAFETY_SECONDS
        if isinstance(error, DreamHubError):
            self._report(error.code, error.message)
        else:  # a tenant's worker writes the stream, and may have written anything
            _log.error("progress cannot be read", exc_info=error)
            self._report("ProgressUnavailable", f"the stream of progress cannot be read ({type(error).__name__})")
        return RETRY_SECONDS

    async def _read_alone(self) -> None:
        async with self._lock:
            await self._read()

    def _report(self, code: str, text: str) -> None:
        """Once for each time that it begins to fail: phases still come, and progress once it can be read again."""
        if self._failing:
            return
        self._failing = True
        _log.warning("progress cannot be read", code=code)
        self._tell(lambda subscription: subscription.error(code, f"{text}; changes of the job's phase still come"))

    async def subscribe(self, subscription: Subscription, since: Position | None) -> None:
        """Bring a client to the present, then keep it there. Raises UnavailableError when Redis is away."""
        self._joining += 1
        try:
            async with self._lock:
                await self._join(subscription, since)
        finally:
            self._joining -= 1

    def unsubscribe(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)

    def change(self, job: IngestJob) -> None:
        """The resource has changed. It is the same job: see `uid`."""
        self._job = job
        self._tell(lambda subscription: subscription.delta(self._position, self._data(), _SLOT))

    def end(self) -> None:
        """The job was deleted."""
        self._ended = True
        self._tell(_say_deleted)
        self._subscriptions.clear()

    async def _join(self, subscription: Subscription, since: Position | None) -> None:
        await self._read()
        found = await read_since(self._redis, self._tenant, self._uid, since) if since is not None else None
        if isinstance(found, Deltas):
            self._take(found)  # published since the line above: the other watchers get it here, not at its wake-up
            self._catch_up(subscription, found)
        else:
            recovered = None if since is None else found is None and since == NOWHERE
            subscription.snapshot(self._position, self._data(), recovered=recovered)
        if self._ended:
            _say_deleted(subscription)
        else:
            self._subscriptions.add(subscription)

    async def _read(self) -> None:
        """Take what is new in the stream and pass it on."""
        since = None if self._position == NOWHERE else self._position
        found = await read_since(self._redis, self._tenant, self._uid, since)
        if isinstance(found, Snapshot):
            self._advance(found.position, found.progress)
        elif isinstance(found, Deltas):
            self._take(found)

    def _take(self, found: Deltas) -> None:
        """Advance to what is newer than all that was seen. Entries that cannot be read are passed over."""
        epoch = found.position.epoch
        for offset, progress in found.items:
            if epoch != self._position.epoch or offset > self._position.offset:
                self._advance(Position(epoch, offset), progress)
        if epoch != self._position.epoch or found.position.offset > self._position.offset:
            self._position = found.position

    def _advance(self, position: Position, progress: Progress | None) -> None:
        """None: the last entry cannot be read, so the resource alone says how far the job is."""
        self._position, self._live = position, progress
        self._tell(
            lambda subscription: (
                None if subscription.has_seen(position) else subscription.delta(position, self._data(), _SLOT)
            )
        )

    def _catch_up(self, subscription: Subscription, missed: Deltas) -> None:
        """What was missed, oldest first; the last as the present state, which knows the resource's phase too."""
        recovered: bool | None = True
        for offset, progress in missed.items[:-1]:
            position = Position(missed.position.epoch, offset)
            subscription.delta(position, self._data(progress), f"{_SLOT}{offset}", recovered=recovered)
            recovered = None
        subscription.delta(missed.position, self._data(), _SLOT, recovered=recovered)

    def _data(self, progress: Progress | None = None) -> dict[str, Any]:
        update = job_update(self._job, progress or self._live)
        return update.model_dump(mode="json", by_alias=True, exclude_none=True)

    def _tell(self, deliver: Callable[[Subscription], None]) -> None:
        for subscription in tuple(self._subscriptions):
            deliver(subscription)


def _say_deleted(subscription: Subscription) -> None:
    subscription.error("JobNotFound", "the job was deleted")


async def _wait(woken: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await woken.wait()
    except TimeoutError:
        return
    woken.clear()
