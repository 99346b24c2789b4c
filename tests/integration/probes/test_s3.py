"""The probes of the object store pass on a closed bucket, and report one that was opened."""

import secrets
from collections.abc import AsyncIterator

import aiohttp
import pytest_asyncio

from dreamhub.names import object_key
from dreamhub.storage.objects import ObjectStore, ObjectStoreSettings
from dreamhub_operator.isolation.outcome import describe, tally
from dreamhub_operator.isolation.s3 import probe_s3
from dreamhub_operator.isolation.side import Side
from dreamhub_operator.stores import S3Objects
from tests.integration.probes.sides import leaks
from tests.integration.servers import run_s3, temporary_folder


@pytest_asyncio.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


def side(*, version: str | None, expendable: bool = False) -> Side:
    return Side(f"t-{secrets.token_hex(6)}", "", "", "", None, version, expendable=expendable)


async def plant(store: ObjectStore, *, expendable: bool) -> Side:
    planted = side(version="ver_planted", expendable=expendable)
    await store.put(object_key(planted.tenant, "ver_planted"), b"planted")
    return planted


async def test_closed_bucket_passes(object_store: ObjectStore, session: aiohttp.ClientSession) -> None:
    canary, tenant = await plant(object_store, expendable=True), await plant(object_store, expendable=False)
    for attacker, victim in ((tenant, canary), (canary, tenant)):
        found = tally(await probe_s3(S3Objects(object_store), session, attacker, victim))
        assert (found.verdict, found.detail) == ("Verified", "")
        assert found.probes >= 13
        assert await object_store.exists(object_key(victim.tenant, "ver_planted"))


async def test_tenant_without_originals_can_be_probed(
    object_store: ObjectStore, session: aiohttp.ClientSession
) -> None:
    canary = await plant(object_store, expendable=True)
    for attacker, victim in ((side(version=None), canary), (canary, side(version=None))):
        found = tally(await probe_s3(S3Objects(object_store), session, attacker, victim))
        assert (found.verdict, found.detail) == ("Verified", "")


async def test_public_bucket_is_reported(session: aiohttp.ClientSession) -> None:
    with temporary_folder() as folder, run_s3(folder, anonymous=("Read", "List")) as server:
        settings = ObjectStoreSettings(
            endpoint=server.endpoint,
            bucket="dreamhub",
            region="us-east-1",
            access_key=server.access_key,
            secret_key=server.secret_key,
        )
        store = ObjectStore(settings)
        await store.ensure_bucket()
        attacker, victim = await plant(store, expendable=False), await plant(store, expendable=True)
        found = leaks(await probe_s3(S3Objects(store), session, attacker, victim))
    assert f"{attacker.tenant}: GET by guessed key, unsigned" in found
    assert f"{attacker.tenant}: listing, unsigned" in found
    assert f"{attacker.tenant}: GET by a signed URL with another's key" not in found


async def test_broken_signature_proves_nothing(
    object_store: ObjectStore, s3_settings: ObjectStoreSettings, session: aiohttp.ClientSession
) -> None:
    """URLs that open nothing at all: refusals of others' keys mean nothing then."""
    wrong = ObjectStore(
        ObjectStoreSettings(s3_settings.endpoint, s3_settings.bucket, s3_settings.region, s3_settings.access_key, "no")
    )
    attacker, victim = await plant(object_store, expendable=False), await plant(object_store, expendable=True)
    probes = await probe_s3(S3Objects(wrong), session, attacker, victim)
    assert tally(probes).verdict == "Inconclusive"
    assert "answered with 403 instead of 200" in describe(probes[0])


async def test_absent_store_proves_nothing(s3_settings: ObjectStoreSettings, session: aiohttp.ClientSession) -> None:
    settings = ObjectStoreSettings("http://127.0.0.1:1", "dreamhub", "us-east-1", "key", "secret")
    probes = await probe_s3(S3Objects(ObjectStore(settings)), session, side(version="ver_1"), side(version=None))
    assert tally(probes).verdict == "Inconclusive"
