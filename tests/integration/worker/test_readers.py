"""Web sites, mail and calendars through a real worker: from the server upstream to searchable documents and back."""

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from dreamhub.domain.job_input import InputSource, OpenNetwork
from dreamhub.sql.connections import Pool
from dreamhub.storage.objects import ObjectStore
from tests.integration.links import run_links
from tests.integration.servers import temporary_folder
from tests.integration.sources.certificates import make_certificate
from tests.integration.sources.dovecot import message, run_dovecot
from tests.integration.sources.radicale import event, run_radicale
from tests.integration.sources.site import Site, page, run_site
from tests.integration.worker.scripted import Script
from tests.integration.worker.support import Rig
from tests.integration.worker.test_sources import Bench


@pytest_asyncio.fixture
async def bench(rig: Rig, api_pool: Pool, object_store: ObjectStore, tmp_path: Path) -> AsyncIterator[Bench]:
    async with run_links(api_pool, {rig.tenant.tenant: rig.tenant.keys}, object_store) as server:
        yield Bench(rig, server, object_store, Script(tmp_path))


@pytest_asyncio.fixture
async def site() -> AsyncIterator[Site]:
    async with run_site() as running:
        yield running


@pytest.fixture
def folder() -> Iterator[Path]:
    with temporary_folder() as folder:
        yield folder


def mounted(folder: Path, secret: Mapping[str, str]) -> str:
    place = folder / "secret"
    place.mkdir()
    for name, value in secret.items():
        (place / name).write_text(value)
    return str(place)


def source(reader: Any, config: dict[str, Any], port: int, secret_dir: str | None = None) -> InputSource:
    open_ = OpenNetwork(cidr="127.0.0.0/8", ports=(port,))
    return InputSource(
        kind=reader, reader=reader, config=config, identity="x", networks=(open_,), secret_dir=secret_dir
    )


async def test_a_web_site(bench: Bench, site: Site) -> None:
    config = {"urls": [site.address("/")]}
    crawl = source("web", config, int(site.url.rpartition(":")[2]))
    site.pages = {"/": page("Start", "/a", "/b"), "/a": page("Pumps and their seals"), "/b": page("Valves")}
    first = await bench.run(bench.mount(crawl))
    assert (first.state, first.documents.done) == ("Succeeded", 3)
    assert await bench.searchable() == {site.address(path) for path in ("/", "/a", "/b")}
    again = await bench.run(bench.mount(crawl))
    assert (again.documents.skipped, again.tokens) == (3, 0)
    del site.pages["/b"]
    site.pages["/a"] = page("Pumps, seals and bearings")
    last = await bench.run(bench.mount(crawl))
    assert (last.documents.done, last.documents.skipped) == (2, 1)
    assert await bench.searchable() == {site.address("/"), site.address("/a")}


async def test_a_mailbox(bench: Bench, folder: Path) -> None:
    with run_dovecot(folder, make_certificate(folder), "http://127.0.0.1:9/") as dovecot:
        dovecot.deliver("ada", [message("Offer", "A pump for 300 EUR."), message("Reply", "Too dear.")])
        secret = mounted(folder, dovecot.secret("ada"))
        config = {"imap": {"host": "localhost", "port": dovecot.tls}}
        mailbox = source("mail", config, dovecot.tls, secret)
        assert (await bench.run(bench.mount(mailbox))).state == "Succeeded"
        assert await bench.searchable() == {"Offer", "Reply"}
        dovecot.delete("ada", 2)
        dovecot.deliver("ada", [message("Order", "One pump, please.")])
        await bench.run(bench.mount(mailbox))
        assert await bench.searchable() == {"Offer", "Order"}


async def test_a_calendar(bench: Bench, folder: Path) -> None:
    with run_radicale(folder, make_certificate(folder), ("ada",)) as radicale:
        path = radicale.make_calendar("ada", "work")
        for name in ("Inspection", "Training"):
            radicale.put("ada", f"{path}{name}.ics", event(name, f"{name} of the boat"))
        secret = mounted(folder, radicale.secret("ada"))
        config = {"url": radicale.url(path), "protocol": "CalDAV"}
        calendar = source("calendar", config, radicale.port, secret)
        assert (await bench.run(bench.mount(calendar))).state == "Succeeded"
        assert await bench.searchable() == {"Inspection of the boat", "Training of the boat"}
        radicale.delete("ada", f"{path}Training.ics")
        await bench.run(bench.mount(calendar))
        assert await bench.searchable() == {"Inspection of the boat"}


async def test_a_source_that_must_not_be_reached_says_so(bench: Bench, site: Site) -> None:
    site.pages = {"/": page("Start")}
    crawl = source("web", {"urls": [site.address("/")]}, 1)
    told = await bench.run(bench.mount(crawl))
    assert (told.state, [error.reason for error in told.errors]) == ("Failed", ["AddressRefused"])
    assert site.asked.total() == 0
