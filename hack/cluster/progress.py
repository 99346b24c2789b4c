"""Shows what is being made and for how long: a spinner on a terminal, plain lines in a log."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.status import Status
from rich.text import Text

_REFRESH_SECONDS = 0.2


@dataclass
class Stage:
    """One step under way; `note` replaces the words behind its title."""

    title: str
    started: float
    status: Status | None
    _noted: float = field(default=0.0)

    def note(self, text: str) -> None:
        """Say where the step is; cheap enough to call for each line of a build."""
        now = time.monotonic()
        if self.status is None or now - self._noted < _REFRESH_SECONDS:
            return
        self._noted = now
        self.status.update(Text.assemble(f"{self.title}  ", (f"{now - self.started:.0f} s  {text[:70]}", "dim")))


class Progress:
    """Prints steps to stderr, so that stdout stays for results."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._started = time.monotonic()

    @contextmanager
    def stage(self, title: str) -> Iterator[Stage]:
        """Show a step while it runs and its seconds when it has succeeded."""
        started = time.monotonic()
        if self._console.is_terminal:
            with self._console.status(title) as status:
                yield Stage(title, started, status)
        else:
            self.say(f"... {title}")
            yield Stage(title, started, None)
        self.say(f"[green]ok[/]  {title} [dim]{time.monotonic() - started:.1f} s[/]")

    def say(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)

    @property
    def seconds(self) -> float:
        """Since the command began."""
        return time.monotonic() - self._started
