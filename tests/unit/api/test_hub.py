"""What waits to be sent, and what a board remembers."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from dreamhub.crd.ingest_job import IngestJob as Resource
from dreamhub.domain.progress import Progress
from dreamhub.errors import DreamHubError, NotFoundError, UnauthenticatedError, UnavailableError
from dreamhub.storage.progress import Position
from dreamhub_api.auth.principal import Principal
from dreamhub_api.hub.board import KEPT_CHANGES, Board
from dreamhub_api.hub.channels import Channel, job_channel, parse_channel
from dreamhub_api.hub.connection import Connection
from dreamhub_api.hub.outbox import MAX_BYTES, Frame, Outbox, SlowReaderError
from dreamhub_api.hub.subscription import Subscription
from dreamhub_api.views import job_update, job_view


class Receiver:
    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def send(self, frame: Frame) -> None:
        self.frames.append(frame)

    @property
    def messages(self) -> list[Any]:
        return [json.loads(frame.text) for frame in self.frames]


class TestOutbox:
    async def drain(self, outbox: Outbox) -> list[str]:
        found = []
        while outbox.waiting_bytes:
            found.append(await outbox.take())
        return found

    async def test_order_is_kept(self) -> None:
        outbox = Outbox()
        for text in ("a", "b", "c"):
            outbox.put(Frame(text))
        assert await self.drain(outbox) == ["a", "b", "c"]

    async def test_last_value_wins_and_moves_to_its_own_time(self) -> None:
        outbox = Outbox()
        outbox.put(Frame("job-1", "job"))
        outbox.put(Frame("other", "other"))
        outbox.put(Frame("job-2", "job"))
        assert await self.drain(outbox) == ["other", "job-2"]

    async def test_what_has_no_slot_is_never_replaced(self) -> None:
        outbox = Outbox()
        for _ in range(3):
            outbox.put(Frame("same"))
        assert await self.drain(outbox) == ["same"] * 3

    async def test_bound_counts_what_waits(self) -> None:
        outbox = Outbox(limit=10)
        for _ in range(100):
            outbox.put(Frame("12345678", "slot"))
        assert outbox.waiting_bytes == 8
        with pytest.raises(SlowReaderError):
            outbox.put(Frame("12345678"))

    async def test_left_channels_are_forgotten(self) -> None:
        outbox = Outbox()
        outbox.put(Frame("a", "job:acme/a\0progress"))
        outbox.put(Frame("ab", "job:acme/ab\0progress"))
        outbox.put(Frame("snapshot", "job:acme/a"))
        outbox.discard("job:acme/a")
        assert await self.drain(outbox) == ["ab"]


class TestChannels:
    def test_own_channels(self) -> None:
        assert parse_channel("jobs", "acme") == Channel("jobs", None)
        assert parse_channel(job_channel("acme", "a"), "acme") == Channel("job:acme/a", "a")

    @pytest.mark.parametrize("name", ["", "job:", "job:acme", "job:acme/", "job:other/a", "acme/a", "documents"])
    def test_all_others_read_alike(self, name: str) -> None:
        with pytest.raises(NotFoundError) as refused:
            parse_channel(name, "acme")
        assert refused.value.code == "ChannelNotFound"
        assert name not in refused.value.message or not name.strip(":").startswith("job:other")


def resource(name: str = "a", phase: str = "Pending", **status: Any) -> Resource:
    return Resource.model_validate(
        {
            "metadata": {"name": name, "uid": f"uid-{name}", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"source": {"inline": {"name": "n", "text": "-"}}},
            "status": {"phase": phase, **status},
        }
    )


class TestBoard:
    def subscribe(self, board: Board, since: Position | None = None) -> Receiver:
        receiver = Receiver()
        board.subscribe(Subscription(receiver, "jobs"), since, [job_view(resource())])
        return receiver

    def test_snapshot_then_changes(self) -> None:
        board = Board()
        receiver = self.subscribe(board)
        board.change("b", job_view(resource("b")))
        board.change("b", None)
        snapshot, added, deleted = receiver.messages
        assert [job["name"] for job in snapshot["data"]["jobs"]] == ["a"]
        assert (added["offset"], added["data"]["job"]["name"]) == (1, "b")
        assert (deleted["offset"], deleted["data"]) == (2, {"deleted": "b"})
        assert receiver.frames[1].slot == receiver.frames[2].slot

    def test_resume(self) -> None:
        board = Board()
        epoch = board.position.epoch
        for number in range(3):
            board.change(f"j{number}", None)
        assert [message["offset"] for message in self.subscribe(board, Position(epoch, 1)).messages] == [2, 3]
        (nothing,) = self.subscribe(board, Position(epoch, 3)).messages
        assert (nothing["type"], nothing["recovered"]) == ("subscribed", True)

    @pytest.mark.parametrize("offset", [0, KEPT_CHANGES + 10])
    def test_what_is_no_longer_held_is_admitted(self, offset: int) -> None:
        board = Board()
        for number in range(KEPT_CHANGES + 1):
            board.change(f"j{number}", None)
        (message,) = self.subscribe(board, Position(board.position.epoch, offset)).messages
        assert (message["type"], message["recovered"]) == ("snapshot", False)

    def test_nobody_is_told_after_leaving(self) -> None:
        board, receiver = Board(), Receiver()
        subscription = Subscription(receiver, "jobs")
        board.subscribe(subscription, None, [])
        board.unsubscribe(subscription)
        board.change("a", None)
        assert len(receiver.frames) == 1


class TestJobUpdate:
    LIVE = Progress(stage="Embedding", percent=40, chunks=7)

    def test_live_figures_are_ahead_of_the_resource(self) -> None:
        update = job_update(resource(phase="Pending"), self.LIVE)
        assert (update.phase, update.reason, update.progress.percent) == ("Running", "Embedding", 40)

    def test_finished_resource_has_the_last_word(self) -> None:
        done = resource(phase="Succeeded", reason="Ingested", progress={"percent": 100})
        update = job_update(done, self.LIVE)
        assert (update.phase, update.progress.percent, update.progress.stage) == ("Succeeded", 100, "Finished")

    def test_without_a_stream(self) -> None:
        view = job_view(resource(phase="Running", reason="Chunking"))
        assert view.progress.stage == "Chunking"
        assert view.created_at == datetime(2026, 1, 1, tzinfo=UTC)


class Socket:
    """A WebSocket whose peer never reads."""

    def __init__(self) -> None:
        self.closed: list[tuple[int, bytes]] = []

    async def close(self, *, code: int, message: bytes, drain: bool) -> None:
        assert not drain  # waiting for a peer that does not read would keep its memory
        self.closed.append((code, message))


async def test_slow_reader_is_told_to_come_back() -> None:
    socket: Any = Socket()
    connection = Connection(socket, Principal("acme", "jane", frozenset({"read"}), 0.0), cast("Any", None))
    for _ in range(MAX_BYTES // 1000 + 5):
        connection.send(Frame("x" * 1000))
    await until_closed(socket)
    assert socket.closed == [(1013, b"too slow; resume from your last offset")]
    assert connection.reason == "slow"


async def until_closed(socket: Socket) -> None:
    async with asyncio.timeout(60):
        while not socket.closed:
            await asyncio.sleep(0)


class Verdict:
    """Says of each verification what the test wants."""

    def __init__(self, *errors: DreamHubError | None) -> None:
        self.errors = list(errors)

    async def verify_again(self, _principal: Principal) -> None:
        error = self.errors.pop(0)
        if error is not None:
            raise error

    def seconds_left(self, _principal: Principal) -> float:
        return 0.0


async def test_a_connection_outlives_who_would_verify_it_and_not_its_token() -> None:
    socket: Any = Socket()
    connection = Connection(socket, Principal("acme", "jane", frozenset({"read"}), 0.0), cast("Any", None))
    away = UnavailableError("away", code="KubernetesUnavailable")
    verdict = Verdict(None, away, None, UnauthenticatedError("expired " * 40, code="TokenExpired"))
    async with asyncio.timeout(60):
        await connection._recheck(cast("Any", verdict))
    await until_closed(socket)
    [(code, message)] = socket.closed
    assert (code, connection.reason, verdict.errors) == (4401, "expired", [])
    assert len(message) <= 123
