"""One Secret for all: how often it is read, how writes meet."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import pytest

from dreamhub.errors import ConflictError, ForbiddenError, UnavailableError
from dreamhub_operator.cluster import ObjectKey
from dreamhub_operator.kinds import SECRET
from dreamhub_operator.shared_secret import SharedSecret

KEY = ObjectKey(SECRET, "shared", "system")


class Store:
    """The API server's side of one Secret."""

    def __init__(self, data: Mapping[str, str] | None = None) -> None:
        self.version = 1
        self.data = dict(data) if data is not None else None
        self.gets = self.patches = 0
        self.down = False

    def _show(self) -> dict[str, Any]:
        return {"metadata": {"resourceVersion": str(self.version)}, "data": dict(self.data or {})}

    async def get(self, _: ObjectKey) -> dict[str, Any] | None:
        self.gets += 1
        await asyncio.sleep(0)
        if self.down:
            raise UnavailableError("away")
        return None if self.data is None else self._show()

    async def create(self, _: Any) -> dict[str, Any]:
        self.data = {}
        return self._show()

    async def patch(self, _: ObjectKey, body: dict[str, Any]) -> dict[str, Any]:
        self.patches += 1
        await asyncio.sleep(0)
        if self.data is None or body["metadata"]["resourceVersion"] != str(self.version):
            raise ConflictError("another version")
        self.version += 1
        for name, text in body["data"].items():
            self.data.pop(name, None)
            if text is not None:
                self.data[name] = text
        return self._show()

    def change(self, name: str, text: str) -> None:
        """By somebody else."""
        self.data = {**(self.data or {}), name: text}
        self.version += 1


def _put(name: str, _: Mapping[str, str]) -> Mapping[str, str | None]:
    return {name: "x"}


def secret(store: Store, now: list[float] | None = None) -> SharedSecret:
    moments = now or [0.0]
    return SharedSecret(cast("Any", store), KEY, lambda: moments[0])


def test_many_readers_read_once_until_it_is_too_old() -> None:
    store, now = Store({"a": "1"}), [0.0]
    shared = secret(store, now)

    async def read_all() -> None:
        found = await asyncio.gather(*(shared.entries(10) for _ in range(50)))
        assert all(entries == {"a": "1"} for entries in found)

    async def read_twice() -> None:
        await read_all()
        assert store.gets == 1
        now[0] = 11.0
        await read_all()
        assert store.gets == 2

    asyncio.run(read_twice())


def test_an_absent_secret_is_made() -> None:
    store = Store()
    asyncio.run(secret(store).update(lambda _: {"a": "1"}))
    assert store.data == {"a": "1"}


def test_writes_that_wait_go_together() -> None:
    store = Store({})
    shared = secret(store)

    async def write() -> None:
        wishes = [partial(_put, str(number)) for number in range(100)]
        await asyncio.gather(*map(shared.update, wishes))

    asyncio.run(write())
    assert store.data is not None
    assert len(store.data) == 100
    assert store.patches <= 2


def test_each_decides_on_top_of_the_one_before() -> None:
    """Two that both want to be first: one is."""
    store = Store({})
    shared = secret(store)

    async def write() -> None:
        claims = [lambda there, who=who: {} if "owner" in there else {"owner": who} for who in ("ada", "bob")]
        await asyncio.gather(*map(shared.update, claims))

    asyncio.run(write())
    assert store.data == {"owner": "ada"}


def test_a_conflict_is_decided_again_from_what_is_there_now() -> None:
    store = Store({})
    shared = secret(store)

    async def write() -> None:
        await shared.entries(0)
        store.change("a", "theirs")
        await shared.update(lambda there: {} if "a" in there else {"a": "ours"})

    asyncio.run(write())
    assert store.data == {"a": "theirs"}


def test_who_refuses_fails_alone() -> None:
    store = Store({"a": "1"})
    shared = secret(store)

    def refuse(_: Mapping[str, str]) -> Mapping[str, str | None]:
        raise ForbiddenError("not yours")

    async def write() -> list[Any]:
        wishes = [shared.update(refuse), shared.update(lambda _: {"a": None, "b": "2"})]
        return await asyncio.gather(*wishes, return_exceptions=True)

    results = asyncio.run(write())
    assert isinstance(results[0], ForbiddenError)
    assert results[1] is None
    assert store.data == {"b": "2"}


def test_an_error_reaches_all_that_wait_and_the_next_try_works() -> None:
    store = Store({})
    shared = secret(store)
    store.down = True

    async def write() -> None:
        wishes = [shared.update(lambda _: {"a": "1"}), shared.update(lambda _: {"b": "1"})]
        results = await asyncio.gather(*wishes, return_exceptions=True)
        assert all(isinstance(result, UnavailableError) for result in results)
        store.down = False
        await shared.update(lambda _: {"c": "1"})

    asyncio.run(write())
    assert store.data == {"c": "1"}


def test_a_writer_that_is_cancelled_takes_nobody_along() -> None:
    store = Store({"a": "1"})
    shared = secret(store)

    async def write() -> None:
        await shared.entries(0)
        first = asyncio.create_task(shared.update(partial(_put, "b")))
        second = asyncio.create_task(shared.update(partial(_put, "c")))
        await asyncio.sleep(0)
        first.cancel()
        await second

    asyncio.run(asyncio.wait_for(write(), 60))
    assert store.data is not None
    assert "c" in store.data


def test_a_secret_that_never_stands_still_is_given_up() -> None:
    store = Store({})
    shared = secret(store)

    def disturb(_: Mapping[str, str]) -> Mapping[str, str | None]:
        store.change("x", str(store.version))
        return {"a": "1"}

    with pytest.raises(ConflictError):
        asyncio.run(shared.update(disturb))
