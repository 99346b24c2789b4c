"""Names of channels and what may be subscribed to."""

from dataclasses import dataclass

from dreamhub.errors import NotFoundError

BOARD = "jobs"
_JOB = "job:"


@dataclass(frozen=True)
class Channel:
    """`job` is None for the board of all of the tenant's jobs."""

    name: str
    job: str | None


def parse_channel(name: str, tenant: str) -> Channel:
    """A channel of the caller's tenant. Another tenant's is answered like one that does not exist."""
    if name == BOARD:
        return Channel(name, None)
    owner, _, job = name.removeprefix(_JOB).partition("/")
    if not name.startswith(_JOB) or owner != tenant or not job:
        raise missing_channel()
    return Channel(name, job)


def job_channel(tenant: str, job: str) -> str:
    return f"{_JOB}{tenant}/{job}"


def missing_channel() -> NotFoundError:
    return NotFoundError(
        f"there is no such channel; channels are {BOARD} and {_JOB}<tenant>/<name>", code="ChannelNotFound"
    )
