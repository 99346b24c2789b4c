"""All jobs of a tenant on one channel: a snapshot, then each change. The last changes are kept for those who resume."""

import secrets
from collections import deque
from typing import Any

from dreamhub.storage.progress import Position
from dreamhub_api.hub.subscription import Subscription
from dreamhub_client.models import IngestJob

KEPT_CHANGES = 64
SNAPSHOT_JOBS = 200


class Board:
    """Its epoch is this object's: another instance, or this one after a restart, counts anew and says so."""

    def __init__(self) -> None:
        self._epoch = secrets.token_hex(8)
        self._offset = 0
        self._changes: deque[tuple[int, str, dict[str, Any]]] = deque(maxlen=KEPT_CHANGES)
        self._subscriptions: set[Subscription] = set()

    @property
    def position(self) -> Position:
        return Position(self._epoch, self._offset)

    def subscribe(self, subscription: Subscription, since: Position | None, jobs: list[IngestJob]) -> None:
        """`jobs` are all of the tenant's; the newest are sent."""
        if since is not None and self._holds_all_after(since):
            self._catch_up(subscription, since)
        else:
            newest = sorted(jobs, key=lambda job: job.created_at, reverse=True)[:SNAPSHOT_JOBS]
            data = {"jobs": [_dump(job) for job in newest]}
            subscription.snapshot(self.position, data, recovered=None if since is None else False)
        self._subscriptions.add(subscription)

    def unsubscribe(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)

    def change(self, name: str, job: IngestJob | None) -> None:
        """None: the job was deleted."""
        self._offset += 1
        data = {"deleted": name} if job is None else {"job": _dump(job)}
        self._changes.append((self._offset, name, data))
        for subscription in tuple(self._subscriptions):
            subscription.delta(self.position, data, name)

    def _holds_all_after(self, since: Position) -> bool:
        oldest = self._offset - len(self._changes)
        return since.epoch == self._epoch and oldest <= since.offset <= self._offset

    def _catch_up(self, subscription: Subscription, since: Position) -> None:
        missed = [change for change in self._changes if change[0] > since.offset]
        if not missed:
            subscription.resumed(self.position)
        recovered: bool | None = True
        for offset, name, data in missed:
            subscription.delta(Position(self._epoch, offset), data, name, recovered=recovered)
            recovered = None


def _dump(job: IngestJob) -> dict[str, Any]:
    return job.model_dump(mode="json", by_alias=True, exclude_none=True)
