"""The probes of the API pass on the real server, and report one that mixes tenants up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from dreamhub.errors import ForbiddenError
from dreamhub_api.hub import connection
from dreamhub_api.hub.channels import Channel
from dreamhub_api.services.documents import DocumentsService
from dreamhub_api.services.sessions import Session, Sessions
from dreamhub_operator.isolation.api import probe_api
from dreamhub_operator.isolation.outcome import describe, tally
from dreamhub_operator.isolation.side import Side
from tests.integration.api.conftest import MakeTenant, ready_caller
from tests.integration.api.platform import Caller
from tests.integration.probes.sides import leaks


@pytest_asyncio.fixture
async def pair(http: aiohttp.ClientSession, server: str, make_tenant: MakeTenant) -> tuple[Side, Side]:
    """A tenant, and one whose loss nobody would mind, with a document each."""
    sides = []
    for expendable in (False, True):
        tenant = await make_tenant()
        caller: Caller = await ready_caller(http, server, tenant)
        _, document = await caller.upload("note.md", b"a text")
        sides.append(
            Side(tenant.name, tenant.database_url, "", tenant.token, document["id"], None, expendable=expendable)
        )
    return sides[0], sides[1]


async def test_server_passes_and_the_documents_stay(
    http: aiohttp.ClientSession, server: str, pair: tuple[Side, Side]
) -> None:
    for attacker, victim in (pair, pair[::-1]):
        probes = await probe_api(server, http, attacker, victim)
        found = tally(probes)
        assert (found.verdict, found.detail) == ("Verified", "")
        names = {probe.name for probe in probes}
        assert (f"{attacker.tenant}: DELETE /documents/{{id}} of another" in names) is victim.expendable
        caller = Caller(http, server, victim.token)
        assert (await caller.call("GET", f"/documents/{victim.document}"))[0] == 200


async def test_server_that_mixes_tenants_up_is_reported(
    http: aiohttp.ClientSession, server: str, pair: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    attacker, victim = pair
    opened = Sessions.open

    @asynccontextmanager
    async def confused(self: Sessions, tenant: str, *, readonly: bool = False) -> AsyncIterator[Session]:
        async with opened(self, victim.tenant if readonly else tenant, readonly=readonly) as session:
            yield session

    monkeypatch.setattr(Sessions, "open", confused)
    found = leaks(await probe_api(server, http, attacker, victim))
    assert f"{attacker.tenant}: GET /documents" in found
    assert f"{attacker.tenant}: GET /documents/{{id}} of another" in found


async def test_telling_foreign_from_absent_is_reported(
    http: aiohttp.ClientSession, server: str, pair: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    attacker, victim = pair
    get = DocumentsService.get

    async def chatty(self: DocumentsService, tenant: str, document: str) -> Any:
        if tenant == attacker.tenant and document == victim.document:
            raise ForbiddenError("this is another's")
        return await get(self, tenant, document)

    monkeypatch.setattr(DocumentsService, "get", chatty)
    found = leaks(await probe_api(server, http, attacker, victim))
    assert list(found) == [f"{attacker.tenant}: GET /documents/{{id}} of another"]


async def test_open_channel_is_reported(
    http: aiohttp.ClientSession, server: str, pair: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "parse_channel", lambda name, _: Channel(name, None))
    found = leaks(await probe_api(server, http, *pair))
    assert list(found) == [f"{pair[0].tenant}: WebSocket channel of another"]


async def test_refused_token_proves_nothing(http: aiohttp.ClientSession, server: str, pair: tuple[Side, Side]) -> None:
    attacker = Side(pair[0].tenant, "", "", "nonsense", None, None)
    probes = await probe_api(server, http, attacker, pair[1])
    assert tally(probes).verdict == "Inconclusive"
    assert "is answered with 401" in describe(probes[0])


async def test_absent_server_proves_nothing(http: aiohttp.ClientSession, pair: tuple[Side, Side]) -> None:
    assert tally(await probe_api("http://127.0.0.1:1", http, *pair)).verdict == "Inconclusive"
