"""What travels over `/ws`: JSON text frames, one connection for all subscriptions."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from dreamhub_client.models import JobError, JobPhase, JobProgress
from dreamhub_client.wire import INTEGRAL, Request, Wire


class Position(Request):
    """The last message of a channel that the client has seen."""

    epoch: str
    offset: Annotated[int, Field(ge=0), INTEGRAL]


class ClientMessage(Request):
    """`channel` is `job:<tenant>/<name>` or `jobs`; needed by all but `ping`."""

    op: Literal["subscribe", "unsubscribe", "ping"]
    channel: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None
    since: Position | None = None


class JobUpdate(Wire):
    """`data` of a `job:` channel, in snapshots and deltas alike: always the whole, so that the last one is enough."""

    name: str
    phase: JobPhase
    reason: str | None = None
    message: str | None = None
    progress: JobProgress = JobProgress()
    errors: tuple[JobError, ...] = ()


class ServerMessage(Wire):
    """`snapshot`, `delta`, `error` or `pong`.

    `recovered` is on the first message after a `subscribe` with `since`: true when nothing was missed, false when the
    stream no longer held everything and the snapshot replaces it. On `jobs`, a snapshot's data is `{"jobs": [...]}`
    and a delta's `{"job": {...}}` or `{"deleted": "<name>"}`.
    """

    type: Literal["snapshot", "delta", "subscribed", "unsubscribed", "error", "pong"]
    channel: str | None = None
    epoch: str | None = None
    offset: int | None = None
    recovered: bool | None = None
    data: dict[str, Any] | None = None
    code: str | None = None
    message: str | None = None
