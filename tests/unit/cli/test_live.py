"""Progress views: a bar on a terminal, few lines in a log, and texts that a job cannot use to fool the terminal."""

from io import StringIO

import pytest
from rich.console import Console

from dreamhub_cli.live import job_line, job_view, stage_of, upload_bars
from dreamhub_cli.output import Output
from dreamhub_client.messages import JobUpdate


def update(phase: str = "Running", percent: int = 0, **progress: object) -> JobUpdate:
    told = {"percent": percent, "documents": {"total": 4, "done": 1}, "stage": "Embedding", **progress}
    return JobUpdate.model_validate({"name": "job-1", "phase": phase, "reason": "WaitingForPod", "progress": told})


def output(*, terminal: bool, as_json: bool = False) -> tuple[Output, StringIO]:
    screen = StringIO()
    console = Console(file=screen, force_terminal=terminal, width=140)
    return Output(as_json, console, console), screen


@pytest.mark.parametrize(
    ("shown", "stage"),
    [
        (update(), "Embedding"),
        (update(stage="Scanning", waiting="the scanner is away"), "Scanning: the scanner is away"),
        (update("Pending"), "Pending: WaitingForPod"),
        (update("Succeeded"), "Succeeded"),
    ],
)
def test_stage_says_what_happens_or_why_not(shown: JobUpdate, stage: str) -> None:
    assert stage_of(shown) == stage


def test_log_gets_a_line_for_each_tenth_of_the_way() -> None:
    to, screen = output(terminal=False)
    with job_view(to, "job-1", stream_json=False) as view:
        for percent in range(41):
            view.show(update(percent=percent, etaSeconds=40 - percent))
    lines = screen.getvalue().splitlines()
    assert len(lines) == 5
    assert lines[0] == "job-1: Embedding, 0 %, 1/4 documents, 40 s left"


def test_terminal_gets_a_bar_with_rate_and_time_left() -> None:
    to, screen = output(terminal=True)
    with job_view(to, "job-1", stream_json=False) as view:
        view.show(update(percent=50, chunksPerSecond=412.4, etaSeconds=9))
    shown = screen.getvalue()
    for part in ("job-1", "50%", "Embedding", "1/4 documents", "412 chunks/s", "9 s left"):
        assert part in shown


def test_json_is_silent_where_one_document_comes_at_the_end() -> None:
    to, screen = output(terminal=True, as_json=True)
    with job_view(to, "job-1", stream_json=False) as view:
        view.show(update())
    assert screen.getvalue() == ""
    with job_view(to, "job-1", stream_json=True) as view:
        view.show(update())
    assert screen.getvalue().count("\n") == 1


def test_upload_bar_follows_the_bytes_and_leaves_with_its_file() -> None:
    screen = StringIO()
    console = Console(file=screen, force_terminal=True, width=120)
    with upload_bars(console, hidden=False) as bars, bars.file("a\x1b[2J[/red].pdf", 4_000_000) as bar:
        bar.sent(1_000_000)
    assert "\x1b[2J" not in screen.getvalue()
    assert "a[2J[/red].pdf" in screen.getvalue()


def test_line_without_a_known_end_names_none() -> None:
    assert job_line(update()) == "job-1: Embedding, 0 %, 1/4 documents"


def test_a_job_that_waits_for_a_person_says_for_what() -> None:
    waiting = update("AwaitingApproval").model_copy(update={"message": "about 9 tokens\x1b[31m", "reason": "Dear"})
    assert job_line(waiting) == "job-1: AwaitingApproval: Dear: about 9 tokens[31m"


def test_a_job_that_has_no_tokens_says_until_when() -> None:
    told = {"message": "paused; it resumes at 2026-03-02T00:00:00Z", "reason": "QuotaExhausted"}
    line = job_line(update("Queued").model_copy(update=told))
    assert line == "job-1: Queued: QuotaExhausted: paused; it resumes at 2026-03-02T00:00:00Z"
