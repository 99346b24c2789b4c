"""Uploads and deletions while S3 or the database fails in the middle, with a real database and a real store."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from unittest.mock import AsyncMock

import pytest
from typing_extensions import override

from dreamhub import names
from dreamhub.errors import NotFoundError, UnavailableError
from dreamhub.ids import new_id
from dreamhub.sql.connections import Connection, Pool
from dreamhub.sql.documents import NewUpload, UploadOutcome
from dreamhub.sql.outbox import announce_object
from dreamhub.storage.objects import ObjectStore, ObjectStoreSettings
from dreamhub_api.metrics import build_metrics
from dreamhub_api.services import originals
from dreamhub_api.services.documents import DocumentsService
from dreamhub_api.services.originals import OriginalsService
from dreamhub_api.services.sessions import Session, Sessions
from dreamhub_api.services.uploads import Upload, Uploaded, UploadService
from tests.integration.conftest import Database, TenantLogin
from tests.integration.sql.support import connected

TEXT = b"The warranty lasts 24 months."


class FlakyStore(ObjectStore):
    away = False
    before_moving: Callable[[], Awaitable[None]] | None = None

    @override
    async def move(self, key: str, target: str) -> None:
        if self.before_moving is not None:
            await self.before_moving()
        await super().move(key, target)

    @override
    async def delete(self, *keys: str) -> None:
        if self.away:
            raise UnavailableError("the object store does not answer", code="ObjectStoreUnavailable")
        await super().delete(*keys)


class FlakySessions(Sessions):
    """Loses the answers to the next commits: they happen, and their caller hears of a broken connection."""

    lost = 0

    @override
    @asynccontextmanager
    async def open(self, tenant: str, *, readonly: bool = False) -> AsyncIterator[Session]:
        async with super().open(tenant, readonly=readonly) as session:
            yield session
        if self.lost:
            self.lost -= 1
            raise UnavailableError("PostgreSQL does not answer", code="DatabaseUnavailable")


class BlindUploads(UploadService):
    before_registering: Callable[[], None] | None = None

    @override
    async def _register(self, tenant: str, new: NewUpload) -> UploadOutcome:
        if self.before_registering is not None:
            self.before_registering()
        return await super()._register(tenant, new)


@dataclass
class Rig:
    login: TenantLogin
    sessions: FlakySessions
    store: FlakyStore
    originals: OriginalsService = field(init=False)
    uploads: BlindUploads = field(init=False)
    documents: DocumentsService = field(init=False)

    def __post_init__(self) -> None:
        self.originals = OriginalsService(self.sessions, self.store, lambda: [self.login.tenant])
        self.uploads = BlindUploads(self.sessions, self.originals, self.store, 10**6, build_metrics())
        self.documents = DocumentsService(self.sessions, self.originals, self.store)

    @property
    def tenant(self) -> str:
        return self.login.tenant

    async def upload(self, data: bytes = TEXT, name: str = "note.txt") -> Uploaded:
        async def chunks() -> AsyncIterator[bytes]:
            yield data

        return await self.uploads.store(self.tenant, Upload(name, "text/plain", (), None, chunks()))

    async def has_original(self, version_id: str) -> bool:
        return await self.store.exists(names.object_key(self.tenant, version_id))

    async def read(self, document_id: str) -> bytes:
        content = await self.documents.open_content(self.tenant, document_id)
        return b"".join([piece async for piece in content.pieces])

    async def fall_due(self) -> None:
        """As if the time had passed."""
        async with self.sessions.open(self.tenant) as session:
            await session.conn.execute("UPDATE object_outbox SET due_at = now()")

    @contextmanager
    def store_away(self) -> Iterator[None]:
        self.store.away = True
        yield
        self.store.away = False


async def _reread_nothing() -> None:
    """These keys do not change."""


@pytest.fixture
def rig(api_pool: Pool, tenant: TenantLogin, s3_settings: ObjectStoreSettings, object_store: ObjectStore) -> Rig:
    del object_store  # its bucket is what is needed
    return Rig(tenant, FlakySessions(api_pool, lambda _: tenant.keys, AsyncMock()), FlakyStore(s3_settings))


async def latest(rig: Rig, document_id: str) -> str:
    return (await rig.documents.get(rig.tenant, document_id)).latest_version


async def test_a_deletion_while_the_store_is_away_is_made_good(rig: Rig) -> None:
    document = (await rig.upload()).document_id
    version = await latest(rig, document)
    with rig.store_away():
        await rig.documents.delete(rig.tenant, document)
        await rig.fall_due()
        with pytest.raises(UnavailableError):
            await rig.originals.settle(rig.tenant)
    assert await rig.has_original(version)
    await rig.fall_due()
    assert await rig.originals.settle(rig.tenant) == 1
    assert not await rig.has_original(version)
    assert await rig.originals.settle(rig.tenant) == 0


async def test_a_deletion_whose_answer_was_lost_is_made_good(rig: Rig) -> None:
    document = (await rig.upload()).document_id
    version = await latest(rig, document)
    rig.sessions.lost = 1
    with pytest.raises(UnavailableError):
        await rig.documents.delete(rig.tenant, document)
    assert await rig.has_original(version)
    assert await rig.originals.settle(rig.tenant) == 1
    assert not await rig.has_original(version)


async def test_an_upload_whose_answers_were_lost_keeps_its_original(rig: Rig) -> None:
    """The announcement is answered, then neither of the two registrations, one of which has happened."""
    rig.uploads.before_registering = partial(setattr, rig.sessions, "lost", 2)
    with pytest.raises(UnavailableError):
        await rig.upload()
    assert rig.sessions.lost == 0
    await rig.fall_due()
    await rig.originals.settle(rig.tenant)
    [document] = (await rig.documents.page(rig.tenant, None, 10)).items
    assert await rig.read(document.id) == TEXT


async def test_an_upload_that_died_leaves_nothing_for_ever(rig: Rig, tenant_connection: Connection) -> None:
    version = new_id("ver")
    await announce_object(tenant_connection, version)
    await rig.store.put(names.object_key(rig.tenant, version), TEXT)  # and then the process was killed
    assert await rig.originals.settle(rig.tenant) == 0, "it might live"
    await rig.fall_due()
    assert await rig.originals.settle(rig.tenant) == 1
    assert not await rig.has_original(version)


async def test_known_bytes_heal_a_lost_original_even_later(rig: Rig) -> None:
    document = (await rig.upload()).document_id
    version = await latest(rig, document)
    await rig.store.delete(names.object_key(rig.tenant, version))
    with rig.store_away():  # copying works, clearing away does not
        assert (await rig.upload()).duplicate
    await rig.fall_due()
    await rig.originals.settle(rig.tenant)
    assert await rig.read(document) == TEXT
    await rig.documents.delete(rig.tenant, document)
    assert not await rig.has_original(version)
    assert await rig.originals.settle(rig.tenant) == 0


async def test_an_original_healed_too_late_goes_with_its_version(rig: Rig, tenant_connection: Connection) -> None:
    document = (await rig.upload()).document_id
    version = await latest(rig, document)
    await rig.store.delete(names.object_key(rig.tenant, version))
    rig.store.before_moving = partial(rig.documents.delete, rig.tenant, document)
    await rig.upload()
    await rig.fall_due()
    await rig.originals.settle(rig.tenant)
    assert not await rig.has_original(version)
    assert await tenant_connection.fetchval("SELECT count(*) FROM object_outbox") == 0


async def test_the_sweep_goes_on_past_a_tenant_that_fails(rig: Rig) -> None:
    document = (await rig.upload()).document_id
    version = await latest(rig, document)
    with rig.store_away():
        await rig.documents.delete(rig.tenant, document)
    await rig.fall_due()
    await rig.originals._sweep("never-made")
    await rig.originals._sweep(rig.tenant)
    assert not await rig.has_original(version)


async def test_the_sweep_survives_a_broken_schema(rig: Rig, database: Database) -> None:
    async with connected(database.server.superuser_url) as admin:
        await admin.execute(f'DROP TABLE "t_{rig.tenant}".object_outbox')
    await rig.originals._sweep(rig.tenant)


async def test_a_full_outbox_is_swept_a_turn_at_a_time(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(originals, "BATCH", 1)
    monkeypatch.setattr(originals, "BATCHES_A_TURN", 2)
    documents = [(await rig.upload(name=f"{number}.txt")).document_id for number in range(3)]
    versions = [await latest(rig, document) for document in documents]
    with rig.store_away():
        for document in documents:
            await rig.documents.delete(rig.tenant, document)
    await rig.fall_due()
    await rig.originals._sweep(rig.tenant)
    assert [await rig.has_original(version) for version in versions].count(True) == 1
    await rig.originals._sweep(rig.tenant)
    assert not any([await rig.has_original(version) for version in versions])


async def test_the_sweep_takes_turns_by_itself(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(originals, "SWEEP_SECONDS", 0.01)
    monkeypatch.setattr(originals, "BATCH", 2)
    documents = [(await rig.upload(name=f"{number}.txt")).document_id for number in range(5)]
    versions = [await latest(rig, document) for document in documents]
    with rig.store_away():
        for document in documents:
            await rig.documents.delete(rig.tenant, document)
    await rig.fall_due()
    sweeping = asyncio.create_task(rig.originals.run())
    async with asyncio.timeout(120):
        while any([await rig.has_original(version) for version in versions]):
            await asyncio.sleep(0.01)
    sweeping.cancel()
    await asyncio.gather(sweeping, return_exceptions=True)


async def test_content_of_a_document_that_never_was(rig: Rig) -> None:
    with pytest.raises(NotFoundError):
        await rig.read(new_id("doc"))
