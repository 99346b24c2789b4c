"""Keeps the bucket and the database in step: what `dreamhub.sql.outbox` lists is deleted, or heals what was lost.

Every instance sweeps all tenants, slowly, and settles a tenant at once after what it did for it. Instances do not
meet: a row is taken by one of them, and falls due again when that one dies.
"""

import asyncio
import random
from collections.abc import Callable, Collection
from typing import NoReturn

import structlog

from dreamhub import names
from dreamhub.errors import DreamHubError, NotFoundError
from dreamhub.sql import outbox
from dreamhub.sql.outbox import DueObject
from dreamhub.storage.objects import ObjectStore
from dreamhub_api.services.sessions import Sessions

SWEEP_SECONDS = 60.0
BATCH = 100
BATCHES_A_TURN = 10

_JITTER = random.SystemRandom()
"""Spreads the sweeps of many instances."""

_log = structlog.get_logger(__name__)


class OriginalsService:
    """`list_tenants` reads the watch cache."""

    def __init__(self, sessions: Sessions, objects: ObjectStore, list_tenants: Callable[[], Collection[str]]) -> None:
        self._sessions = sessions
        self._objects = objects
        self._list_tenants = list_tenants

    async def announce(self, tenant: str, version_id: str) -> None:
        """Before any byte is stored. Raises UnavailableError when the tenant is not ready, or the database away."""
        async with self._sessions.open(tenant) as session:
            await outbox.announce_object(session.conn, version_id)

    async def withdraw(self, tenant: str, version_id: str) -> None:
        """The upload failed, or nobody knows whether it was registered: whatever is nobody's goes, now or later."""
        try:
            async with self._sessions.open(tenant) as session:
                await outbox.withdraw_object(session.conn, version_id)
        except DreamHubError as error:
            _log.warning("a failed upload is cleared away later", error=error.message)
        else:
            await self.settle_soon(tenant)

    async def settle_soon(self, tenant: str) -> None:
        """Settle now if it works; what does not is left to the sweep."""
        try:
            await self.settle(tenant)
        except DreamHubError as error:
            _log.warning("objects are cleared away later", tenant=tenant, error=error.message)

    async def settle(self, tenant: str) -> int:
        """One batch of what is due; returns how many that were. Raises UnavailableError."""
        async with self._sessions.open(tenant) as session:
            due = await outbox.take_due_objects(session.conn, BATCH)
        if not due:
            return 0
        loose = [item for item in due if not item.stands]
        healed = [item.duplicate_of for item in loose if item.duplicate_of and await self._heal(tenant, item)]
        await self._objects.delete(*(names.object_key(tenant, item.version_id) for item in loose))
        async with self._sessions.open(tenant) as session:
            await outbox.settle_objects(session.conn, [item.version_id for item in due], healed)
        return len(due)

    async def _heal(self, tenant: str, item: DueObject) -> bool:
        """The bytes are there already, unless an earlier upload lost them behind its row: then these take their place.

        Whether they did. Nothing to move is fine: an earlier try has moved it, or nothing was ever stored.
        """
        known = names.object_key(tenant, item.duplicate_of or "")
        if await self._objects.exists(known):
            return False
        try:
            await self._objects.move(names.object_key(tenant, item.version_id), known)
        except NotFoundError:
            return False
        return True

    async def run(self) -> NoReturn:
        """Sweep for ever. A tenant that fails does not keep the others waiting."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS * _JITTER.uniform(0.75, 1.25))
            for tenant in tuple(self._list_tenants()):
                await self._sweep(tenant)

    async def _sweep(self, tenant: str) -> None:
        """One tenant's broken tables must not end the server for all."""
        [error] = await asyncio.gather(self._settle_all(tenant), return_exceptions=True)
        if isinstance(error, DreamHubError):
            _log.info("a tenant was not swept", tenant=tenant, code=error.code, error=error.message)
        elif error is not None:
            _log.error("a tenant was not swept", tenant=tenant, exc_info=error)

    async def _settle_all(self, tenant: str) -> None:
        """As much as is due, within a turn's length: one that has filled its outbox must not hold up others."""
        for _ in range(BATCHES_A_TURN):
            if await self.settle(tenant) < BATCH:
                return
