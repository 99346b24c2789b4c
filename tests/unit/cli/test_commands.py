"""Each command against the scripted server: what it prints, for people and for programs, and how it leaves."""

import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Cli
from tests.unit.client.double import (
    DOCUMENT_ID,
    TIME,
    VERSION_ID,
    Double,
    answer,
    document,
    job,
    message,
    plain,
    problem,
    socket,
)

HIT = {
    "documentId": DOCUMENT_ID,
    "documentName": "manual.pdf",
    "versionId": VERSION_ID,
    "ordinal": 3,
    "page": 8,
    "charStart": 0,
    "charEnd": 10,
    "headingPath": ["5 Calibration", "5.3 Calibrating the pH sensor"],
    "text": "A pH electrode\x1b]0;evil\x07 that [bold]has[/bold] dried out",
    "score": 0.931,
    "lexical": 4.2,
    "semantic": 0.7,
}
CITATION = {**{k: v for k, v in HIT.items() if k not in {"text", "lexical", "semantic"}}, "number": 1, "quote": "soak"}
PLACE = "manual.pdf, page 8, 5 Calibration > 5.3 Calibrating the pH sensor"


def told(phase: str, **fields: object) -> dict[str, object]:
    progress = {"percent": 100, "documents": {"total": 1, "done": 1}, "pages": 2, "chunks": 7}
    return {"name": "job-1", "phase": phase, "progress": progress, **fields}


async def test_search_shows_place_and_text_without_trusting_it(cli: Cli, double: Double) -> None:
    double.on("POST", "/api/v1/search", answer({"hits": [HIT], "model": "m", "tookMs": 4.4}))
    done = await cli("search", "dry electrode", "--tag", "manuals")
    assert done.exit_code == 0
    assert PLACE in done.stdout
    assert "\x1b" not in done.stdout
    assert "[bold]has[/bold]" in done.stdout
    assert json.loads(double.asked[-1].body)["filters"] == {"tags": ["manuals"]}


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ({"unit": "slide"}, "manual.pdf, slide 8, 5"),
        ({"unit": "row", "headingPath": []}, "manual.pdf, row 8  "),
        ({"page": None, "unit": None}, "manual.pdf, 5"),
    ],
)
async def test_a_place_is_named_by_its_unit(cli: Cli, double: Double, place: dict[str, object], shown: str) -> None:
    double.on("POST", "/api/v1/search", answer({"hits": [{**HIT, **place}], "model": "m", "tookMs": 4.4}))
    assert shown in (await cli("search", "x")).stdout


async def test_search_json_is_one_document(cli: Cli, double: Double) -> None:
    double.on("POST", "/api/v1/search", answer({"hits": [HIT], "model": "m", "tookMs": 4.4}))
    done = await cli("search", "x", "--json")
    assert json.loads(done.stdout)["hits"][0]["documentName"] == "manual.pdf"


async def test_ask_prints_answer_and_citation(cli: Cli, double: Double) -> None:
    reply = {"answer": "Eight hours [1].", "answered": True, "citations": [CITATION], "model": "m", "tookMs": 9}
    double.on("POST", "/api/v1/answers", answer(reply))
    done = await cli("ask", "how long?")
    assert "Eight hours [1]." in done.stdout
    assert f"[1] {PLACE}" in done.stdout


async def test_upload_of_a_folder_ingests_and_waits(cli: Cli, double: Double, tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "a.md").write_text("# A")
    (tmp_path / "b.txt").write_text("b")
    (tmp_path / "c.bin").write_text("c")
    (tmp_path / ".hidden.md").write_text("d")
    double.on("POST", "/api/v1/documents", answer(document(), 201))
    double.on("POST", "/api/v1/ingest-jobs", answer(job(), 201))
    double.on("GET", "/ws", socket(message("snapshot", 1, told("Succeeded"))))
    done = await cli("upload", str(tmp_path), "--wait", "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert [update["phase"] for update in result["jobs"]] == ["Succeeded"]
    sent = {dict(asked.query)["name"] for asked in double.asked if asked.path == "/api/v1/documents"}
    assert sent == {"part/a.md", "b.txt"}


async def test_refused_file_does_not_stop_the_others(cli: Cli, double: Double, tmp_path: Path) -> None:
    for name in ("a.md", "b.md"):
        (tmp_path / name).write_text("x")
    refusal = problem(400, "EmptyFile", "the file is empty; upload one with content")
    double.on("POST", "/api/v1/documents", refusal, answer(document(), 201))
    double.on("POST", "/api/v1/ingest-jobs", answer(job(), 201))
    done = await cli("upload", str(tmp_path))
    assert done.exit_code == 5
    assert "the file is empty; upload one with content (EmptyFile)" in done.stderr
    assert "dreamhub watch job-1" in done.stdout


async def test_unchanged_documents_start_no_job_unless_forced(cli: Cli, double: Double, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("x")
    double.on("POST", "/api/v1/documents", answer(document(duplicate=True, activeVersion=VERSION_ID, state="active")))
    double.on("POST", "/api/v1/ingest-jobs", answer(job(), 201))
    assert "unchanged" in (await cli("upload", str(tmp_path))).stdout
    assert double.count("POST", "/api/v1/ingest-jobs") == 0
    await cli("upload", str(tmp_path), "--force", "--parallelism", "3")
    sent = json.loads(double.asked[-1].body)
    assert (sent["force"], sent["parallelism"]) == (True, 3)


async def test_watch_prints_json_lines_and_fails_with_the_job(cli: Cli, double: Double) -> None:
    error = {"document": DOCUMENT_ID, "errorClass": "Permanent", "reason": "EncryptedPDF", "message": "is encrypted"}
    failed = told("Failed", errors=[error], reason="DocumentsFailed")
    double.on("GET", "/ws", socket(message("snapshot", 1, told("Running")), message("delta", 2, failed)))
    done = await cli("watch", "job-1", "--json")
    assert [json.loads(line)["phase"] for line in done.stdout.splitlines()] == ["Running", "Failed"]
    assert done.exit_code == 8
    double.on("GET", "/ws", socket(message("snapshot", 1, failed)))
    done = await cli("watch", "job-1")
    assert f"{DOCUMENT_ID}: is encrypted (EncryptedPDF)" in done.stdout


async def test_watch_that_takes_too_long_says_how_to_go_on(cli: Cli, double: Double) -> None:
    double.on("GET", "/ws", plain(426, ""))
    double.on("GET", "/api/v1/tasks/job-1", answer({**told("Running"), "done": False}, 202))
    done = await cli("watch", "job-1", "--timeout", "1")
    assert done.exit_code == 9
    assert "`dreamhub watch job-1` follows it again" in done.stderr


async def test_jobs_as_table_and_json(cli: Cli, double: Double) -> None:
    double.on("GET", "/api/v1/ingest-jobs", answer({"items": [job(phase="Running"), job(name="job-2")]}))
    table = (await cli("jobs")).stdout
    assert table.split()[:2] == ["NAME", "PHASE"]
    assert "job-2" in table
    shown = json.loads((await cli("jobs", "--limit", "1", "--json")).stdout)
    assert [item["name"] for item in shown["items"]] == ["job-1"]
    assert shown["items"][0]["createdAt"] == TIME


async def test_doctor_names_the_first_failure(cli: Cli, double: Double) -> None:
    double.on("GET", "/healthz", plain(200, "ok"))
    double.on("GET", "/readyz", plain(200, "ok"))
    double.on("GET", "/api/v1/openapi.json", answer({"info": {"version": "1"}}))
    double.on("POST", "/api/v1/search", problem(500, "Internal", "the server failed"))
    done = await cli("doctor", "--json")
    result = json.loads(done.stdout)
    assert done.exit_code == 7
    assert [check["check"] for check in result["checks"] if check["ok"]] == [
        *("connection", "alive", "ready", "version", "login", "tenant"),
    ]
    assert result["checks"][-1] == {"check": "search", "ok": False, "detail": "the server failed (Internal)"}


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [(401, "TokenExpired", 3), (403, "MissingScope", 3), (404, "NotFound", 4), (400, "InvalidFields", 5)],
)
async def test_refusals_have_their_exit_code(cli: Cli, double: Double, status: int, code: str, exit_code: int) -> None:
    double.on("POST", "/api/v1/search", problem(status, code, "what and why"))
    done = await cli("search", "x")
    assert (done.exit_code, done.stderr) == (exit_code, f"error: what and why ({code})\n")
    done = await cli("search", "x", "--json")
    assert json.loads(done.stderr) == {"error": {"code": code, "status": status, "message": f"what and why ({code})"}}


async def test_options_that_no_server_would_take_are_usage_errors(cli: Cli, double: Double) -> None:
    done = await cli("search", "x", "--document", "handbook.pdf")
    assert done.exit_code == 2
    assert "documents.0: String should match pattern" in done.stderr
    assert double.asked == []
