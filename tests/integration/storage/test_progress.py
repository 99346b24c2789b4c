import asyncio

import pytest
from redis import exceptions
from redis.asyncio import Redis

from dreamhub import names
from dreamhub.domain.progress import Progress
from dreamhub.errors import UnavailableError
from dreamhub.storage.functions import KEPT_SECONDS
from dreamhub.storage.progress import Deltas, Position, Snapshot, WakeUps, forget, publish, read_since
from dreamhub.storage.redis_acl import delete_tenant_user, digest_password, set_tenant_user
from tests.integration.servers import RedisServer, pick_port


@pytest.fixture
def job(request: pytest.FixtureRequest) -> str:
    """A job of its own for each test: they share the server."""
    return f"job-{request.node.name}"


async def test_unknown_job_has_no_stream(redis_admin: Redis, job: str) -> None:
    assert await read_since(redis_admin, "acme", job, None) is None
    assert await read_since(redis_admin, "acme", job, Position("gone", 4)) is None


async def test_newcomer_gets_the_last_snapshot(redis_admin: Redis, job: str) -> None:
    for percent in (10, 20):
        position = await publish(redis_admin, "acme", job, Progress(percent=percent))
    found = await read_since(redis_admin, "acme", job, None)
    assert found == Snapshot(Progress(percent=20), position, recovered=True)
    assert position.offset == 2


async def test_returning_reader_gets_all_it_missed(redis_admin: Redis, job: str) -> None:
    first = await publish(redis_admin, "acme", job, Progress(percent=1))
    for percent in (2, 3):
        last = await publish(redis_admin, "acme", job, Progress(percent=percent))
    found = await read_since(redis_admin, "acme", job, first)
    assert found == Deltas(((2, Progress(percent=2)), (3, Progress(percent=3))), last)
    assert await read_since(redis_admin, "acme", job, last) == Deltas((), last)


async def test_trimmed_position_is_an_honest_snapshot(redis_admin: Redis, job: str) -> None:
    positions = [await publish(redis_admin, "acme", job, Progress(percent=percent)) for percent in range(6)]
    await redis_admin.xtrim(names.progress_key("acme", job), maxlen=3, approximate=False)
    assert isinstance(await read_since(redis_admin, "acme", job, positions[2]), Deltas)
    found = await read_since(redis_admin, "acme", job, positions[1])
    assert found == Snapshot(Progress(percent=5), positions[5], recovered=False)


async def test_lost_stream_starts_another_epoch(redis_admin: Redis, job: str) -> None:
    before = await publish(redis_admin, "acme", job, Progress(percent=50))
    stream = names.progress_key("acme", job)
    await redis_admin.delete(f"{stream}:head")
    after = await publish(redis_admin, "acme", job, Progress(percent=60))
    assert after.epoch != before.epoch
    assert after.offset == 1
    found = await read_since(redis_admin, "acme", job, before)
    assert found == Snapshot(Progress(percent=60), after, recovered=False)


async def test_lost_entries_alone_are_noticed(redis_admin: Redis, job: str) -> None:
    first = await publish(redis_admin, "acme", job, Progress(percent=1))
    await redis_admin.delete(names.progress_key("acme", job))
    await publish(redis_admin, "acme", job, Progress(percent=2))
    last = await publish(redis_admin, "acme", job, Progress(percent=3))
    assert await read_since(redis_admin, "acme", job, Position(first.epoch, 0)) == Snapshot(
        Progress(percent=3), last, recovered=False
    )


async def test_position_from_the_future_is_not_believed(redis_admin: Redis, job: str) -> None:
    position = await publish(redis_admin, "acme", job, Progress())
    found = await read_since(redis_admin, "acme", job, Position(position.epoch, 99))
    assert isinstance(found, Snapshot)
    assert not found.recovered


async def test_entries_that_nobody_can_read_are_passed_over(redis_admin: Redis, job: str) -> None:
    stream = names.progress_key("acme", job)
    first = await publish(redis_admin, "acme", job, Progress(percent=1))
    for document in (b"\xff\xfe", b"{", b'{"percent":"much"}', b"[]"):
        await redis_admin.xadd(stream, {"progress": document}, id=f"{await _next_offset(redis_admin, stream)}-0")
    newest = Position(first.epoch, 5)
    assert await read_since(redis_admin, "acme", job, first) == Deltas((), newest)
    assert await read_since(redis_admin, "acme", job, None) == Snapshot(None, newest, recovered=True)
    last = await publish(redis_admin, "acme", job, Progress(percent=2))
    assert await read_since(redis_admin, "acme", job, first) == Deltas(((6, Progress(percent=2)),), last)


async def _next_offset(redis: Redis, stream: str) -> int:
    return int(await redis.hincrby(f"{stream}:head", "offset", 1))


async def test_what_is_no_stream_is_said_to_be_unreadable(redis_admin: Redis, job: str) -> None:
    stream = names.progress_key("acme", job)
    await publish(redis_admin, "acme", job, Progress())
    await redis_admin.set(stream, "no stream")
    for call in (read_since(redis_admin, "acme", job, None), publish(redis_admin, "acme", job, Progress())):
        with pytest.raises(UnavailableError) as refused:
            await call
        assert refused.value.code == "ProgressUnavailable"


async def test_a_forgotten_job_leaves_nothing(redis_admin: Redis, job: str) -> None:
    before = await publish(redis_admin, "acme", job, Progress(percent=50))
    await forget(redis_admin, "acme", job)
    assert [key async for key in redis_admin.scan_iter(f"{names.progress_key('acme', job)}*")] == []
    after = await publish(redis_admin, "acme", job, Progress(percent=1))
    assert (after.offset, after.epoch != before.epoch) == (1, True)


async def test_stream_is_capped_and_expires(redis_admin: Redis, job: str) -> None:
    for _ in range(800):
        await publish(redis_admin, "acme", job, Progress())
    stream = names.progress_key("acme", job)
    assert 512 <= await redis_admin.xlen(stream) < 700
    for key in (stream, f"{stream}:head"):
        assert 0 < await redis_admin.ttl(key) <= KEPT_SECONDS


async def test_concurrent_publishers_number_without_gaps(redis_admin: Redis, job: str) -> None:
    positions = await asyncio.gather(*(publish(redis_admin, "acme", job, Progress(percent=n)) for n in range(40)))
    assert sorted(position.offset for position in positions) == list(range(1, 41))
    assert len({position.epoch for position in positions}) == 1


async def test_wake_up_follows_each_publication(redis_admin: Redis, job: str) -> None:
    channel = names.progress_key("acme", job)
    async with WakeUps(redis_admin) as wake_ups, wake_ups.watch(channel) as event, wake_ups.watch(channel) as twin:
        await _next(event)
        event.clear()
        twin.clear()
        await publish(redis_admin, "acme", job, Progress())
        await _next(event)
        await _next(twin)
        await publish(redis_admin, "acme", "another", Progress())
        event.clear()
        await publish(redis_admin, "acme", job, Progress())
        await _next(event)


async def subscribers(redis: Redis) -> set[str]:
    """Connections: those of earlier tests may end at any time."""
    return {client["id"] for client in await redis.client_list(_type="pubsub")}


async def test_watchers_share_one_connection_and_leave_nothing(redis_admin: Redis, job: str) -> None:
    before = await redis_admin.pubsub_numsub(names.progress_key("acme", job))
    others = await subscribers(redis_admin)
    async with WakeUps(redis_admin) as wake_ups:
        channels = [names.progress_key("acme", f"{job}-{number}") for number in range(50)]
        for channel in channels:
            async with wake_ups.watch(channel) as event:
                await _next(event)
        assert len(await subscribers(redis_admin) - others) == 1
        async with asyncio.timeout(60):
            while await redis_admin.pubsub_channels("dh:{acme}*"):
                await asyncio.sleep(0.01)
    assert await redis_admin.pubsub_numsub(names.progress_key("acme", job)) == before


async def test_reconnect_wakes_every_watcher(redis_admin: Redis, job: str) -> None:
    channel = names.progress_key("acme", job)
    async with WakeUps(redis_admin) as wake_ups, wake_ups.watch(channel) as event:
        await _next(event)
        event.clear()
        await redis_admin.client_kill_filter(_type="pubsub")
        await _next(event)
        event.clear()
        await publish(redis_admin, "acme", job, Progress())
        await _next(event)


async def _next(event: asyncio.Event) -> None:
    async with asyncio.timeout(60):
        await event.wait()


async def test_tenants_user_publishes_its_own_and_nothing_else(
    redis_admin: Redis, redis_server: RedisServer, job: str
) -> None:
    await set_tenant_user(redis_admin, "acme", [digest_password("pass-1")])
    await set_tenant_user(redis_admin, "acme", [digest_password("pass-2")])
    await publish(redis_admin, "other", job, Progress())
    async with Redis.from_url(redis_server.url("t_acme", "pass-2")) as redis:
        position = await publish(redis, "acme", job, Progress(percent=7))
        found = await read_since(redis_admin, "acme", job, None)
        assert found == Snapshot(Progress(percent=7), position, recovered=True)
        for attempt in (publish(redis, "other", job, Progress()), read_since(redis, "other", job, None)):
            with pytest.raises(UnavailableError, match="permission"):
                await attempt
        with pytest.raises(exceptions.NoPermissionError):
            await redis.publish(names.progress_key("other", job), "x")
    async with Redis.from_url(redis_server.url("t_acme", "pass-1")) as redis:
        with pytest.raises(UnavailableError, match="refuses the login"):
            await publish(redis, "acme", job, Progress())
    await delete_tenant_user(redis_admin, "acme")
    await delete_tenant_user(redis_admin, "acme")
    async with Redis.from_url(redis_server.url("t_acme", "pass-2")) as redis:
        with pytest.raises(UnavailableError, match="refuses the login"):
            await publish(redis, "acme", job, Progress())


async def test_absent_redis_is_unavailable(job: str) -> None:
    async with Redis.from_url(f"redis://127.0.0.1:{pick_port()}/0") as redis:
        with pytest.raises(UnavailableError):
            await publish(redis, "acme", job, Progress())
