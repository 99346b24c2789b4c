"""A source that tells what a file says, registered as a plug-in is, and able to kill its own worker at a given step."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from dreamhub.errors import InvalidInputError, NotFoundError, UnavailableError
from dreamhub_worker.sources.source import Begin, Checkpoint, Complete, Event, Found, Gone, Same, Skipped, SourceContext

NAME = "scripted"
_FAILURES: dict[str, Exception] = {
    "refused": InvalidInputError("the login is refused; correct it", code="LoginRefused"),
    "away": UnavailableError("the server is away", code="ServerAway"),
    "gone": NotFoundError("it is gone"),
}


@dataclass
class Script:
    """What the source tells, in order, and what came of it."""

    folder: Path

    def install(self) -> Path:
        """Metadata of an installed distribution: what `pip install` of a plug-in leaves on the path."""
        metadata = self.folder / "scripted-1.0.dist-info"
        metadata.mkdir(exist_ok=True)
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: scripted\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[dreamhub.sources]\n{NAME} = {__name__}:ScriptedSource\n")
        return self.folder

    def tell(self, *events: dict[str, Any]) -> None:
        (self.folder / "script.json").write_text(json.dumps(events))
        (self.folder / "fetched").write_text("")
        (self.folder / "began").write_text("")
        (self.folder / "waiting").write_text("")

    def die_at(self, step: str, when: str) -> None:
        (self.folder / "death.json").write_text(json.dumps([step, when]))

    def waiting(self) -> int:
        """How many readings have come to a `wait` so far."""
        return len((self.folder / "waiting").read_text().split())

    def go_on(self) -> None:
        (self.folder / "go").touch()

    def fetched(self) -> list[str]:
        return (self.folder / "fetched").read_text().split()

    def began_with(self) -> list[Any]:
        """The checkpoints that readings started from."""
        return [json.loads(line) for line in (self.folder / "began").read_text().splitlines()]


def _kill_worker() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _deadly(function: Callable[..., Any], when: str) -> Callable[..., Any]:
    @wraps(function)
    async def dying(*arguments: Any, **named: Any) -> Any:
        if when == "before":
            _kill_worker()
        result = await function(*arguments, **named)
        _kill_worker()
        return result

    return dying


def _arm(folder: Path) -> None:
    """Once: the next worker lives."""
    death = folder / "death.json"
    if death.exists():
        step, when = json.loads(death.read_text())
        death.unlink()
        owner, _, name = step.rpartition(".")
        place = resolve_name(owner)
        setattr(place, name, _deadly(getattr(place, name), when))


class ScriptedSource:
    def __init__(self, config: Mapping[str, Any], context: SourceContext) -> None:
        self._folder = Path(config["folder"])
        self._context = context

    async def read(self, checkpoint: Checkpoint | None) -> AsyncIterator[Event]:
        _arm(self._folder)
        with (self._folder / "began").open("a") as file:
            file.write(json.dumps(checkpoint and dict(checkpoint.state)) + "\n")
        passed = checkpoint.state.get("events", 0) if checkpoint is not None else 0
        for number, event in enumerate(json.loads((self._folder / "script.json").read_text())):
            if number < passed and not event.get("always"):
                continue
            if event["is"] == "wait":
                await self._wait()
            else:
                yield self._event(number, event)

    async def _wait(self) -> None:
        with (self._folder / "waiting").open("a") as file:
            file.write("x\n")
        while not (self._folder / "go").exists():
            await asyncio.sleep(0.01)

    def _event(self, number: int, event: Mapping[str, Any]) -> Event:
        match event["is"]:
            case "found":
                return Found(
                    key=event["key"],
                    name=event.get("name", f"{event['key']}.txt"),
                    media_type=event.get("type", "text/plain"),
                    data=partial(self._fetch, event),
                    revision=event.get("revision", ""),
                    tags=tuple(event.get("tags", ())),
                )
            case "same":
                return Same(event["key"])
            case "gone":
                return Gone(event["key"])
            case "skipped":
                return Skipped(event["key"], "RobotsDisallowed", "robots.txt forbids it", name=f"page {event['key']}")
            case "checkpoint":
                return Checkpoint({"events": number + 1, **event.get("state", {})})
            case "begin" | "complete" as edge:
                return Begin() if edge == "begin" else Complete()
            case failure:
                raise _FAILURES[failure]

    async def _fetch(self, event: Mapping[str, Any]) -> bytes | Path:
        with (self._folder / "fetched").open("a") as file:
            file.write(f"{event['key']}\n")
        if event.get("fetch") is not None:
            raise _FAILURES[event["fetch"]]
        if event.get("slow"):
            await self._wait()
        data: bytes = event["text"].encode()
        if not event.get("file"):
            return data
        path = self._context.folder / f"scripted-{event['key']}"
        path.write_bytes(data)
        return path
