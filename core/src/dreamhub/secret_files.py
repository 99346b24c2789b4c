"""Secrets as mounted files that change while a process runs.

A Secret is read where it is used: when a connection is made, a request is signed, a provider is called. So whoever
fills the file (Kubernetes, External Secrets, a CSI driver) changes what is used next, without a restart. What was
opened with an older content has to be let go of besides: `SecretWatch` looks every few seconds, or when it is told to.

Kubernetes replaces the files of a volume together, by moving the symlink `..data` to a new folder.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from dreamhub.domain.job_token import check_keys
from dreamhub.errors import InvalidInputError

LOOK_SECONDS = 2.0
_GENERATION = "..data"

log = structlog.get_logger()

SecretSource = Callable[[], str]
"""Where a secret comes from: called at each use."""


def read_secret(path: Path) -> str:
    """The content without surrounding white space. Raises InvalidInputError that names the file, never its content."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "no text"
        raise InvalidInputError(f"cannot read {path}: {cause}; is the Secret mounted?", code="SecretMissing") from error
    if not text:
        raise InvalidInputError(f"{path} is empty; put a value under this key of the Secret", code="SecretMissing")
    return text


def secret_source(path: Path) -> SecretSource:
    return lambda: read_secret(path)


def read_together(folder: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Several files of one volume as they were at one moment, never a half of each. Raises as `read_secret`."""
    generation = folder / _GENERATION
    place = Path(os.path.realpath(generation)) if generation.exists() else folder
    try:
        return tuple(read_secret(place / name) for name in names)
    except InvalidInputError:
        if place.exists():
            raise
    return tuple(read_secret(folder / name) for name in names)  # the folder was replaced between the two steps


def read_token_keys(folder: Path) -> tuple[bytes, ...]:
    """The keys of job tokens: `current`, which signs, and `previous`, which is believed as well where it is there.

    Raises InvalidInputError.
    """
    rotating = (folder / "previous").exists()
    return check_keys(read_together(folder, ("current", "previous") if rotating else ("current",)))


@dataclass
class SecretWatch:
    """Calls back when the content of files has changed."""

    seconds: float = LOOK_SECONDS
    _watched: list["_Watched"] = field(default_factory=list)
    _now: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, name: str, read: Callable[[], object], changed: Callable[[], Awaitable[None]]) -> None:
        """`read` gives the present content, or raises InvalidInputError while there is none, which is no change."""
        watched = _Watched(name, read, changed)
        watched.is_changed()
        self._watched.append(watched)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look every few seconds while inside, and at once at a SIGHUP."""
        loop, task = asyncio.get_running_loop(), asyncio.create_task(self._run(), name="secret watch")
        loop.add_signal_handler(signal.SIGHUP, self._now.set)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGHUP)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.seconds):
                    await self._now.wait()
            self._now.clear()
            await self.look()

    async def look(self) -> None:
        """Once. A call-back that fails is logged and called again at the next look."""
        for watched in self._watched:
            if watched.is_changed():
                try:
                    await watched.changed()
                except Exception:
                    watched.forget()
                    log.exception("secret not taken over", secret=watched.name)
                else:
                    log.info("secret taken over", secret=watched.name)


@dataclass
class _Watched:
    name: str
    read: Callable[[], object]
    changed: Callable[[], Awaitable[None]]
    _seen: object = None

    def is_changed(self) -> bool:
        try:
            found = self.read()
        except InvalidInputError as error:
            log.warning("secret cannot be read; the one before stays in use", secret=self.name, error=error.message)
            return False
        if found == self._seen:
            return False
        self._seen = found
        return True

    def forget(self) -> None:
        self._seen = None
