import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from dreamhub import names
from dreamhub.errors import BugError, NotFoundError, TooLargeError, UnavailableError
from dreamhub.storage.objects import ObjectStore, ObjectStoreSettings
from tests.integration.servers import pick_port

KEY = names.object_key("acme", "ver_x")


async def read(store: ObjectStore, key: str) -> bytes:
    return b"".join([piece async for piece in store.get_stream(key)])


async def pieces(count: int, size: int) -> AsyncIterator[bytes]:
    for number in range(count):
        yield bytes([number % 256]) * size


@pytest.mark.parametrize(("count", "size"), [(0, 1), (1, 10), (3, 7_000_000), (40, 300_000)])
async def test_stream_comes_back_as_it_went(object_store: ObjectStore, count: int, size: int) -> None:
    assert await object_store.put_stream(KEY, pieces(count, size)) == count * size
    assert await read(object_store, KEY) == b"".join([piece async for piece in pieces(count, size)])


async def test_refused_stream_leaves_no_object(object_store: ObjectStore) -> None:
    """The API's size limit raises from inside the stream, also when parts were sent already."""

    async def too_large() -> AsyncIterator[bytes]:
        async for piece in pieces(12, 1_000_000):
            yield piece
        raise TooLargeError("the limit is 12 MB")

    with pytest.raises(TooLargeError, match="12 MB"):
        await object_store.put_stream("refused", too_large())
    with pytest.raises(NotFoundError):
        await read(object_store, "refused")


async def test_deletion_is_repeatable(object_store: ObjectStore) -> None:
    await object_store.put("a", b"1")
    await object_store.put("b", b"2")
    await object_store.delete()
    assert await read(object_store, "a") == b"1"
    await object_store.delete("a", "b", "never")
    for key in ("a", "b"):
        with pytest.raises(NotFoundError):
            await read(object_store, key)


async def test_prefix_is_emptied_and_its_neighbours_stay(object_store: ObjectStore) -> None:
    for number in range(5):
        await object_store.put(names.object_key("small", f"ver_{number}"), b"1")
    await object_store.put(names.object_key("small-one", "ver_1"), b"1")
    assert await object_store.delete_prefix(names.object_key("small", "")) == 5
    assert await object_store.delete_prefix(names.object_key("small", "")) == 0
    assert await read(object_store, names.object_key("small-one", "ver_1")) == b"1"
    with pytest.raises(BugError):
        await object_store.delete_prefix("")


async def test_object_moves_and_is_asked_for(object_store: ObjectStore) -> None:
    await object_store.put("from", b"1")
    assert await object_store.exists("from")
    await object_store.move("from", "to")
    assert not await object_store.exists("from")
    assert await read(object_store, "to") == b"1"
    with pytest.raises(NotFoundError):
        await object_store.move("from", "to")


async def test_presigned_urls_serve_one_object_without_a_key(object_store: ObjectStore) -> None:
    await object_store.put(KEY, b"original")
    url = await object_store.presign_get(KEY, 60)
    assert await asyncio.to_thread(_fetch, url) == (200, b"original")
    for other in (url.replace("ver_x", "ver_y"), url.split("?", maxsplit=1)[0]):
        status, _ = await asyncio.to_thread(_fetch, other)
        assert status == 403
    put = await object_store.presign_put("written", 60)
    status, _ = await asyncio.to_thread(_fetch, put, b"by the worker")
    assert status == 200
    assert await read(object_store, "written") == b"by the worker"


def _fetch(url: str, body: bytes | None = None) -> tuple[int, bytes]:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=10)
    try:
        connection.request("PUT" if body else "GET", f"{parts.path}?{parts.query}", body=body)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


async def test_bucket_is_made_once(s3_settings: ObjectStoreSettings) -> None:
    store = ObjectStore(replace(s3_settings, bucket="another"))
    with pytest.raises(UnavailableError):
        await store.ping()
    await store.ensure_bucket()
    await store.ensure_bucket()
    await store.ping()


async def test_absent_store_is_unavailable(s3_settings: ObjectStoreSettings) -> None:
    store = ObjectStore(replace(s3_settings, endpoint=f"http://127.0.0.1:{pick_port()}"))
    with pytest.raises(UnavailableError):
        await store.put(KEY, b"x")
    with pytest.raises(UnavailableError):
        await store.ensure_bucket()


def test_settings_do_not_show_the_secret(s3_settings: ObjectStoreSettings) -> None:
    assert s3_settings.secret_key not in repr(s3_settings)
