"""`dreamhub dead-letters`: what is printed for people and programs, what is asked for, what is refused at once."""

import json
from typing import Any

import pytest

from tests.unit.cli.conftest import Cli
from tests.unit.client.double import DOCUMENT_ID, TIME, VERSION_ID, Double, answer, job, problem

LETTERS, REPLAY, PURGE = (f"/api/v1/dead-letters{path}" for path in ("", "/replay", "/purge"))


def letter(**fields: Any) -> dict[str, Any]:
    known = {"document": DOCUMENT_ID, "version": VERSION_ID, "job": "job-1", "class": "Permanent", "attempts": 0}
    return {**known, "reason": "EncryptedPDF", "message": "save \x1b[31mit", "failedAt": TIME, **fields}


async def test_all_pages_are_listed_without_trusting_their_words(cli: Cli, double: Double) -> None:
    pages = (
        {"items": [letter(name="plan\x1b[2J.pdf")], "nextCursor": "on"},
        {"items": [letter(job="job-2", reason="WorkerLost")]},
    )
    double.on("GET", LETTERS, *map(answer, pages))
    done = await cli("dead-letters")
    assert done.exit_code == 0, done.output
    assert all(word in done.stdout for word in ("job-1", "EncryptedPDF", "job-2", "WorkerLost"))
    assert "plan" in done.stdout
    assert VERSION_ID in done.stdout, "what a replay is told"
    assert "\x1b" not in done.stdout
    assert dict(double.asked[-1].query)["cursor"] == "on"


async def test_they_are_json_for_programs(cli: Cli, double: Double) -> None:
    double.on("GET", LETTERS, answer({"items": [letter(attempts=4)]}))
    done = await cli("dead-letters", "--job", "job-1", "--json")
    [item] = json.loads(done.stdout)["items"]
    assert (item["version"], item["class"], item["attempts"]) == (VERSION_ID, "Permanent", 4)
    assert dict(double.asked[-1].query)["job"] == "job-1"


async def test_none_is_said_and_is_no_failure(cli: Cli, double: Double) -> None:
    double.on("GET", LETTERS, answer({"items": []}))
    done = await cli("dead-letters")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "no dead letters\n")


async def test_a_replay_tells_the_job_that_takes_them_up(cli: Cli, double: Double) -> None:
    double.on("POST", REPLAY, answer({"job": job(), "replayed": 500, "left": True}))
    done = await cli("dead-letters", "replay", "--job", "archive")
    assert done.exit_code == 0, done.output
    assert "500 replayed in the job job-1" in done.stderr
    assert "replay again" in done.stderr
    assert json.loads(double.asked[-1].body)["job"] == "archive"
    told = await cli("dead-letters", "replay", VERSION_ID, "--json")
    assert json.loads(told.stdout)["replayed"] == 500
    assert json.loads(double.asked[-1].body)["versions"] == [VERSION_ID]


async def test_a_replay_of_what_is_absent_or_anothers_says_so(cli: Cli, double: Double) -> None:
    """The server does not tell the one from the other."""
    double.on("POST", REPLAY, answer({"replayed": 0, "left": False}))
    done = await cli("dead-letters", "replay", VERSION_ID)
    assert (done.exit_code, done.stdout) == (0, "")
    assert "there are no such dead letters" in done.stderr


async def test_a_full_queue_leaves_them_as_they_are(cli: Cli, double: Double) -> None:
    double.on("POST", REPLAY, problem(429, "QuotaExceeded", "the tenant's limit of 200 ingest jobs at a time"))
    done = await cli("dead-letters", "replay")
    assert done.exit_code == 6
    assert "ingest jobs at a time" in done.stderr


async def test_a_purge_tells_how_many(cli: Cli, double: Double) -> None:
    double.on("POST", PURGE, answer({"purged": 3}))
    done = await cli("dead-letters", "purge", VERSION_ID)
    assert (done.exit_code, done.stderr) == (0, "3 forgotten\n")
    assert json.loads((await cli("dead-letters", "purge", "--all", "--json")).stdout) == {"purged": 3}
    sent = [json.loads(asked.body) for asked in double.asked if asked.method == "POST"]
    assert sent == [{"versions": [VERSION_ID], "all": False}, {"all": True}]


@pytest.mark.parametrize("arguments", [[], ["--all", "--job", "handbook"], ["--all", VERSION_ID]])
async def test_all_letters_are_forgotten_only_when_that_is_said(cli: Cli, double: Double, arguments: list[str]) -> None:
    done = await cli("dead-letters", "purge", *arguments)
    assert done.exit_code == 2, done.output
    assert "--all" in done.stderr
    assert double.asked == []


@pytest.mark.parametrize("command", ["replay", "purge"])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["ver_1"], "versions"), ([DOCUMENT_ID], "versions"), (["--job", "No Name"], "job")],
    ids=["no id", "id of a document", "no name"],
)
async def test_what_is_no_id_is_refused_before_anything_is_sent(
    cli: Cli, double: Double, command: str, arguments: list[str], words: str
) -> None:
    done = await cli("dead-letters", command, *arguments)
    assert done.exit_code == 2, done.output
    assert words in done.stderr
    assert double.asked == []
