"""Progress while it happens: bars on a terminal, lines in a log, JSON lines for a program."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from typing_extensions import override

from dreamhub_cli.output import Output, printable
from dreamhub_client.messages import JobUpdate
from dreamhub_client.models import WAITING_PHASES

_PASSING = frozenset({"Received", "WaitingForPod"})
"""Reasons to wait that are over in seconds: nobody has to know more than the word."""


class JobView(Protocol):
    def show(self, update: JobUpdate) -> None: ...


class _Bar(JobView):
    """A bar with the stage, the documents, the rate and the time left, as the worker tells them."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress = progress
        self._task: TaskID = progress.add_task(name, total=100, stage="Pending", documents="", rate="", eta="")

    @override
    def show(self, update: JobUpdate) -> None:
        told = update.progress
        self._progress.update(
            self._task,
            completed=told.percent,
            stage=stage_of(update),
            documents=f"{told.documents.done}/{told.documents.total} documents",
            rate=f"{told.chunks_per_second:.0f} chunks/s" if told.chunks_per_second else "",
            eta="" if told.eta_seconds is None else f"{told.eta_seconds} s left",
        )


class _Lines(JobView):
    """A line whenever the stage or the tenth of the way changes: a log stays short."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._last: tuple[str, int] | None = None

    @override
    def show(self, update: JobUpdate) -> None:
        key = (stage_of(update), update.progress.percent // 10)
        if key != self._last:
            self._last = key
            self._output.note(job_line(update))


class _Json(JobView):
    def __init__(self, output: Output) -> None:
        self._output = output

    @override
    def show(self, update: JobUpdate) -> None:
        self._output.line(update)


class _Silent(JobView):
    @override
    def show(self, update: JobUpdate) -> None:
        return


def stage_of(update: JobUpdate) -> str:
    """The worker's stage while it runs, and what it waits for, else the phase and why."""
    told = update.progress
    if update.phase == "Running" and told.stage is not None:
        return f"{told.stage}: {printable(told.waiting)}" if told.waiting else told.stage
    waiting = update.phase in WAITING_PHASES and update.reason is not None
    return f"{update.phase}: {update.reason}" if waiting else update.phase


def job_line(update: JobUpdate) -> str:
    told = update.progress
    if update.message and update.phase in WAITING_PHASES and update.reason not in _PASSING:
        return f"{update.name}: {stage_of(update)}: {printable(update.message)}"
    line = (
        f"{update.name}: {stage_of(update)}, {told.percent} %, {told.documents.done}/{told.documents.total} documents"
    )
    return line if told.eta_seconds is None else f"{line}, {told.eta_seconds} s left"


@contextmanager
def job_view(output: Output, name: str, *, stream_json: bool) -> Iterator[JobView]:
    """The view that fits: JSON lines (or nothing, where one JSON document comes at the end), a bar, or lines."""
    if output.as_json:
        yield _Json(output) if stream_json else _Silent()
    elif output.err.is_terminal:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            TextColumn("{task.fields[stage]}", style="cyan"),
            TextColumn("{task.fields[documents]}"),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[eta]}"),
        )
        with Progress(*columns, console=output.err) as progress:
            yield _Bar(progress, printable(name))
    else:
        yield _Lines(output)


class UploadBars:
    """Bytes of each file that is under way, with rate and time left."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    @contextmanager
    def file(self, name: str, total: int) -> Iterator["UploadBar"]:
        task = self._progress.add_task(printable(name), total=total)
        try:
            yield UploadBar(self._progress, task)
        finally:
            self._progress.remove_task(task)


class UploadBar:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def sent(self, count: int) -> None:
        self._progress.update(self._task, completed=count)


@contextmanager
def upload_bars(console: Console, *, hidden: bool) -> Iterator[UploadBars]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=hidden or not console.is_terminal) as progress:
        yield UploadBars(progress)
