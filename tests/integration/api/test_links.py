"""Links for workers: whose token opens what, against a real database and a real object store."""

import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest
import pytest_asyncio
from yarl import URL

from dreamhub import names
from dreamhub.domain.job_input import InputLinks
from dreamhub.domain.job_token import check_keys
from dreamhub.ids import new_id
from dreamhub.sql.connections import Pool
from dreamhub.sql.documents import NewUpload, register_upload
from dreamhub.sql.ingest import NewRun, RunAttempt, finish_run, mark_collected, start_run
from dreamhub.sql.outbox import announce_object
from dreamhub.sql.work_items import NewItem, enqueue
from dreamhub.storage.objects import ObjectStore
from tests.integration.conftest import NewTenant, TenantLogin
from tests.integration.links import KEY, LinkServer, run_links
from tests.integration.sql.support import connected


@dataclass(frozen=True)
class Worker:
    """A tenant with a run that goes on, one original that is an item of it, and one of another run."""

    login: TenantLogin
    run: str
    item: str
    other: str
    announced: str

    @property
    def name(self) -> str:
        return self.login.tenant


@dataclass(frozen=True)
class Door:
    server: LinkServer
    http: aiohttp.ClientSession

    async def ask(self, links: InputLinks | None, what: str, **wanted: object) -> tuple[int, dict[str, object]]:
        headers = {} if links is None else {"Authorization": f"Bearer {links.token}"}
        async with self.http.post(f"{self.server.url}/internal/v1/{what}", json=wanted, headers=headers) as response:
            return response.status, json.loads(await response.read())

    async def sign(self, worker: Worker, run: str | None = None, **wanted: object) -> dict[str, dict[str, str]]:
        status, reply = await self.ask(self.server.links(worker.name, run or worker.run), "links", **wanted)
        assert status == 200, reply
        return {kind: dict(urls) for kind, urls in reply.items() if isinstance(urls, dict)}

    async def fetch(self, url: str) -> tuple[int, bytes]:
        async with self.http.get(url) as response:
            return response.status, await response.read()


async def make_worker(login: TenantLogin, store: ObjectStore) -> Worker:
    run, item, other, announced = str(uuid.uuid4()), new_id("ver"), new_id("ver"), new_id("ver")
    async with connected(login.url) as conn:
        for version in (item, other):
            content = f"{version} of {login.tenant}".encode()
            await store.put(names.object_key(login.tenant, version), content)
            new = NewUpload(new_id("doc"), version, f"{version}.txt", "text/plain", len(content), content[:32])
            await register_upload(conn, login.keys, new)
        await announce_object(conn, announced)
        for each, version in ((run, item), (str(uuid.uuid4()), other)):
            started = await start_run(conn, NewRun(each, "job", "test", "pod"))
            await enqueue(conn, started.run, [NewItem(version, new_id("doc"))])
    await store.put(f"{names.import_folder(login.tenant)}hand/book.md", b"A handbook.")
    return Worker(login, run, item, other, announced)


@pytest_asyncio.fixture
async def acme(new_tenant: NewTenant, object_store: ObjectStore) -> Worker:
    return await make_worker(await new_tenant(), object_store)


@pytest_asyncio.fixture
async def beta(new_tenant: NewTenant, object_store: ObjectStore) -> Worker:
    return await make_worker(await new_tenant(), object_store)


@pytest_asyncio.fixture
async def door(acme: Worker, beta: Worker, api_pool: Pool, object_store: ObjectStore) -> AsyncIterator[Door]:
    keys = {worker.name: worker.login.keys for worker in (acme, beta)}
    async with run_links(api_pool, keys, object_store) as server, aiohttp.ClientSession() as http:
        yield Door(server, http)


async def test_an_item_of_the_run_can_be_read(door: Door, acme: Worker) -> None:
    reply = await door.sign(acme, get=[acme.item])
    assert await door.fetch(reply["get"][acme.item]) == (200, f"{acme.item} of {acme.name}".encode())


async def test_what_is_no_item_of_the_run_is_absent(door: Door, acme: Worker, beta: Worker) -> None:
    """Another run's, another tenant's and nobody's: nothing tells them apart."""
    reply = await door.sign(acme, get=[acme.other, beta.item, new_id("ver")], put=[beta.announced, new_id("ver")])
    assert reply == {"get": {}, "put": {}, "imports": {}}


async def test_an_announced_original_can_be_written_until_it_stands(door: Door, acme: Worker) -> None:
    url = (await door.sign(acme, put=[acme.announced]))["put"][acme.announced]
    assert 0 < int(URL(url).query["X-Amz-Expires"]) <= 300, "it outlives the registration"
    async with door.http.put(url, data=b"new") as response:
        assert response.status == 200
    new = NewUpload(new_id("doc"), acme.announced, "n.txt", "text/plain", 3, b"n" * 32, announced=True)
    async with connected(acme.login.url) as conn:
        await register_upload(conn, acme.login.keys, new)
    assert (await door.sign(acme, put=[acme.announced]))["put"] == {}


async def test_no_link_replaces_an_original(door: Door, acme: Worker) -> None:
    """Announced again under the id of a version that stands, as a stolen login could."""
    async with connected(acme.login.url) as conn:
        await conn.execute(
            "INSERT INTO object_outbox (version_id, doomed, due_at) VALUES ($1, false, now() + interval '1h')",
            acme.item,
        )
    assert (await door.sign(acme, put=[acme.item]))["put"] == {}


@pytest.mark.parametrize("how", ["none", "forged", "expired", "cut", "scheme", "unknown run", "other tenant's run"])
async def test_who_shows_no_good_token_gets_nothing(door: Door, acme: Worker, beta: Worker, how: str) -> None:
    good = door.server.links(acme.name, acme.run)
    links: dict[str, InputLinks | None] = {
        "none": None,
        "forged": door.server.links(acme.name, acme.run, key="another key of thirty-two letters"),
        "expired": door.server.links(acme.name, acme.run, seconds=-1),
        "cut": good.model_copy(update={"token": good.token[:-1]}),
        "scheme": good.model_copy(update={"token": f"x {good.token}"}),
        "unknown run": door.server.links(acme.name, str(uuid.uuid4())),
        "other tenant's run": door.server.links(beta.name, acme.run),
    }
    for what in ("links", "imports"):
        status, problem = await door.ask(links[how], what)
        assert (status, problem["code"]) == (401, "Unauthenticated" if how == "none" else "InvalidToken")


async def test_a_token_ends_with_its_run(door: Door, acme: Worker) -> None:
    async with connected(acme.login.url) as conn:
        await mark_collected(conn, RunAttempt(acme.run, 1))
        await conn.execute("UPDATE ingest_runs SET finished_at = now() WHERE uid = $1", acme.run)
        await finish_run(conn, acme.run)
    status, _ = await door.ask(door.server.links(acme.name, acme.run), "links", get=[acme.item])
    assert status == 401


async def test_rotated_keys_are_taken_over_without_a_restart(
    acme: Worker, api_pool: Pool, object_store: ObjectStore
) -> None:
    ring = [KEY]
    keys = {acme.name: acme.login.keys}
    async with (
        run_links(api_pool, keys, object_store, lambda: check_keys(ring)) as server,
        aiohttp.ClientSession() as http,
    ):
        door, links = Door(server, http), server.links(acme.name, acme.run)
        ring[:] = ["the next key, also long enough for it", KEY]
        assert (await door.ask(links, "links"))[0] == 200
        ring.pop()
        assert (await door.ask(links, "links"))[0] == 401


@pytest.mark.parametrize("version", ["ver_1", "../other", "ver_" + "0" * 31 + "/"])
async def test_what_is_no_version_is_refused(door: Door, acme: Worker, version: str) -> None:
    for kind in ("get", "put"):
        status, _ = await door.ask(door.server.links(acme.name, acme.run), "links", **{kind: [version]})
        assert status == 400


async def test_the_import_folder_is_listed_by_prefix(door: Door, acme: Worker, beta: Worker) -> None:
    links = door.server.links(acme.name, acme.run)
    for prefix, found in (("", 1), ("hand/", 1), ("hand/bo", 1), ("ha", 1), ("hand/bo/", 0), ("x", 0)):
        status, page = await door.ask(links, "imports", prefix=prefix)
        assert status == 200
        objects = page["objects"]
        assert isinstance(objects, list)
        assert [item["key"] for item in objects] == ["hand/book.md"] * found, prefix
    reply = await door.sign(acme, imports=["hand/book.md"])
    assert await door.fetch(reply["imports"]["hand/book.md"]) == (200, b"A handbook.")
    assert beta.name not in json.dumps(page)


@pytest.mark.parametrize(
    "path",
    [
        "../../{beta}/import/hand/book.md",
        "../versions/{item}",
        "/hand/book.md",
        "hand//book.md",
        "./x",
        "a\\..\\b",
        "a\nb",
    ],
)
async def test_no_path_leads_out_of_the_import_folder(door: Door, acme: Worker, beta: Worker, path: str) -> None:
    key, links = path.format(beta=beta.name, item=acme.other), door.server.links(acme.name, acme.run)
    for what, wanted in (("links", {"imports": [key]}), ("imports", {"prefix": key}), ("imports", {"after": key})):
        status, problem = await door.ask(links, what, **wanted)
        assert (status, problem["code"]) == (400, "BadImportKey")


@pytest.mark.parametrize(
    "path", ["%2e%2e/%2e%2e/{beta}/import/hand/book.md", "..%2f..%2f{beta}%2fimport%2fhand%2fbook.md"]
)
async def test_an_encoded_path_is_a_name_and_no_path(door: Door, acme: Worker, beta: Worker, path: str) -> None:
    key = path.format(beta=beta.name)
    reply = await door.sign(acme, imports=[key])
    status, content = await door.fetch(reply["imports"][key])
    assert status in {400, 403, 404}
    assert b"handbook." not in content
