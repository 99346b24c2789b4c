"""A watch sees every job to its end, whatever happens to the connection."""

import pytest

from dreamhub_client import Client
from dreamhub_client.errors import NotFoundError, ProtocolError, UnreachableError, WaitTimeoutError
from dreamhub_client.messages import Position, ServerMessage
from dreamhub_client.watch import Feed, SocketRefusedError
from tests.unit.client.double import Double, answer, hang_up, message, plain, problem, socket, update

TASK = "/api/v1/tasks/job-1"


def task(phase: str, percent: int, *, done: bool) -> dict[str, object]:
    return {**update(phase, percent), "done": done, "retryAfterSeconds": 1}


async def percents(client: Client) -> list[int]:
    return [seen.progress.percent async for seen in client.watch_job("job-1")]


async def test_snapshot_and_deltas_until_finished(client: Client, double: Double) -> None:
    frames = [
        message("snapshot", 1, update("Running", 10)),
        message("delta", 2, update("Running", 50)),
        message("delta", 3, update("Running", 50)),
        message("delta", 4, update("Succeeded", 100)),
    ]
    double.on("GET", "/ws", socket(*frames))
    assert await percents(client) == [10, 50, 100]
    assert double.asked[-1].authorization == "Bearer t0"


async def test_broken_connection_resumes_where_it_stopped(client: Client, double: Double) -> None:
    asked: list[dict[str, object]] = []
    double.on(
        "GET",
        "/ws",
        socket(message("snapshot", 4, update("Running", 10)), subscriptions=asked),
        socket(message("delta", 5, update("Succeeded", 100)), subscriptions=asked),
    )
    assert await percents(client) == [10, 100]
    assert asked[0] == {"op": "subscribe", "channel": "job:acme/job-1"}
    assert asked[1]["since"] == {"epoch": "e1", "offset": 4}


async def test_polling_takes_over_where_no_socket_gets_through(client: Client, double: Double) -> None:
    double.on("GET", "/ws", plain(426, "no upgrade here"))
    double.on(
        "GET",
        TASK,
        answer(task("Running", 30, done=False), 202),
        answer(task("Running", 30, done=False), 202),
        hang_up(),
        problem(503, "Unavailable", "restarting"),
        answer(task("Failed", 80, done=True)),
    )
    assert await percents(client) == [30, 80]
    assert double.count("GET", "/ws") == 2


async def test_unknown_job_is_told_by_the_polling(client: Client, double: Double) -> None:
    double.on("GET", "/ws", socket({"type": "error", "channel": "job:acme/job-1", "code": "NotFound"}))
    with pytest.raises(NotFoundError, match="no such thing"):
        await percents(client)
    assert double.count("GET", "/ws") == 1


async def test_polling_gives_up_after_its_patience(client: Client, double: Double) -> None:
    double.on("GET", "/ws", hang_up())
    double.on("GET", TASK, hang_up())
    with pytest.raises(UnreachableError):
        await percents(client)


async def test_wait_gives_the_finished_state_or_says_where_it_stood(client: Client, double: Double) -> None:
    double.on("GET", "/ws", plain(426, ""))
    double.on("GET", TASK, answer(task("Succeeded", 100, done=True)))
    assert (await client.wait_job("job-1", 5)).phase == "Succeeded"
    double.on("GET", TASK, answer(task("Running", 42, done=False), 202))
    with pytest.raises(WaitTimeoutError, match=r"after 0\.2 s \(Running, 42 %\)"):
        await client.wait_job("job-1", 0.2)


def test_feed_keeps_the_position_and_ignores_other_channels() -> None:
    feed = Feed("job:acme/job-1")
    feed = feed.accept(ServerMessage.model_validate(message("snapshot", 7, update("Running", 1))))
    assert feed.position == Position(epoch="e1", offset=7)
    other = ServerMessage(type="delta", channel="job:acme/other", epoch="e1", offset=9, data={"name": "x"})
    assert feed.accept(other) == feed
    assert feed.subscription().since == Position(epoch="e1", offset=7)


def test_feed_refuses_errors_and_foreign_data() -> None:
    feed = Feed("job:acme/job-1")
    with pytest.raises(SocketRefusedError, match="too many"):
        feed.accept(ServerMessage(type="error", code="Limit", message="too many subscriptions"))
    with pytest.raises(ProtocolError, match="no job update"):
        feed.accept(ServerMessage(type="delta", channel=feed.channel, data={"phase": "Odd"}))
