"""A bucket of the tenant's own: every connection of its client passes the guard, those behind a redirect included."""

import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from dreamhub.crd.ingest_source import S3Source
from dreamhub.errors import DreamHubError
from dreamhub_worker.fetch_guard import AllowedNetwork, FetchGuard
from dreamhub_worker.sources.guarded_proxy import Wanted, open_proxy, read_head
from dreamhub_worker.sources.s3 import OwnBucket

CONTENT = b"content " * 100_000
SECRET = {"access-key": "a", "secret-key": "b"}


@dataclass
class Store:
    """Answers as a store would, or sends its client elsewhere."""

    port: int = 0
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        name = request.path.rpartition("/")[2]
        self.asked.append(name)
        if name == "moved":
            raise web.HTTPTemporaryRedirect(f"http://[::1]:{self.port}/inner")
        if name == "denied":
            raise web.HTTPForbidden
        if request.query.get("list-type") and request.query.get("prefix"):
            raise web.HTTPForbidden(text="<Error><Code>SignatureDoesNotMatch</Code></Error>")
        if request.query.get("list-type"):
            raise web.HTTPNotFound(text="<Error><Code>NoSuchBucket</Code></Error>", content_type="application/xml")
        return web.Response(body=CONTENT, headers={"ETag": '"x"', "Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"})


@pytest_asyncio.fixture
async def store() -> AsyncIterator[Store]:
    held = Store()
    app = web.Application()
    app.router.add_get("/{path:.*}", held.answer)
    async with TestServer(app) as server:
        held.port = server.port or 0
        yield held


async def download(port: int, key: str, target: Path, host: str = "127.0.0.1", prefix: str = "") -> int:
    config = S3Source.model_validate(
        {"endpoint": f"http://{host}:{port}", "bucket": "bucket", "secretRef": {"name": "x"}}
    )
    guard = FetchGuard((AllowedNetwork(ip_network("127.0.0.1/32")),))
    async with open_proxy(guard) as proxy:
        bucket = OwnBucket(config, SECRET, proxy)
        if key:
            return await bucket.download(key, target, 2**24)
        return len([entry async for entry in bucket.list(prefix)])


async def test_what_the_guard_lets_pass_is_read(store: Store, tmp_path: Path) -> None:
    assert await download(store.port, "file", tmp_path / "file") == len(CONTENT)
    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("key", "host", "code"),
    [
        ("moved", "127.0.0.1", "AddressRefused"),
        ("file", "127.0.0.2", "AddressRefused"),
        ("file", "2130706434", "AddressRefused"),
        ("denied", "127.0.0.1", "LoginRefused"),
        ("", "127.0.0.1", "NoSuchBucket"),
    ],
)
async def test_what_is_told_of_the_rest(store: Store, tmp_path: Path, key: str, host: str, code: str) -> None:
    with pytest.raises(DreamHubError) as failed:
        await download(store.port, key, tmp_path / "file", host)
    assert failed.value.code == code
    assert "inner" not in store.asked


@pytest.mark.parametrize(
    ("number", "code"), [(socket.EAI_NONAME, "UnknownHost"), (socket.EAI_AGAIN, "SourceUnavailable")]
)
async def test_a_name_that_is_not_found(
    number: int, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look_up(*_: object, **__: object) -> None:
        raise socket.gaierror(number, "no answer")

    monkeypatch.setattr("dreamhub_worker.fetch_guard.socket.getaddrinfo", look_up)
    with pytest.raises(DreamHubError) as failed:
        await download(80, "file", tmp_path / "file", "bucket.example")
    assert failed.value.code == code


async def test_a_list_that_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(DreamHubError) as failed:
        await download(store.port, "", tmp_path / "file", prefix="folder/")
    assert failed.value.code == "LoginRefused"


def test_heads_of_requests() -> None:
    assert read_head(b"CONNECT s3.example:443 HTTP/1.1\r\nHost: s3.example\r\n\r\n") == Wanted("s3.example", 443)
    asked = read_head(b"GET http://s3.example/b/k?x=1 HTTP/1.1\r\nHost: s3.example\r\nProxy-Connection: a\r\n\r\n")
    assert asked == Wanted("s3.example", 80, b"GET /b/k?x=1 HTTP/1.1\r\nHost: s3.example\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize(
    "line", [b"CONNECT s3.example", b"CONNECT :1", b"GET /inner", b"GET ftp://x/", b"GET", b"\xff"]
)
def test_heads_that_are_none(line: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whichever; the proxy answers all alike
        read_head(line + b" HTTP/1.1\r\n\r\n")
