"""`dreamhub ingest`: what each command orders, and what it refuses before it asks."""

import json
from typing import Any

import pytest

from tests.unit.cli.conftest import Cli
from tests.unit.cli.test_commands import told
from tests.unit.client.double import Double, answer, job, message, socket

WORKERS = ("--parallelism", "8")
SECRET = {"secretRef": {"name": "login"}}


@pytest.mark.parametrize(
    ("arguments", "source"),
    [
        (["s3"], {"s3": {"prefix": ""}}),
        (["s3", "handbooks/"], {"s3": {"prefix": "handbooks/"}}),
        (
            ["s3", "--endpoint", "https://s3.example.com", "--bucket", "theirs", "--secret", "login"],
            {"s3": {"prefix": "", "endpoint": "https://s3.example.com", "bucket": "theirs", **SECRET}},
        ),
        (
            ["web", "https://example.com/", "--depth", "2", "--pages", "7", "--host", "docs.example.com", "--sitemap"],
            {
                "web": {
                    "urls": ["https://example.com/"],
                    "maxDepth": 2,
                    "maxPages": 7,
                    "sitemap": True,
                    "hosts": ["docs.example.com"],
                }
            },
        ),
        (
            ["mail", "imap.example.com", "--secret", "login", "--starttls", "--folder", "A", "--folder", "B"],
            {"mail": {"imap": {"host": "imap.example.com", "tls": "StartTLS", "folders": ["A", "B"], **SECRET}}},
        ),
        (["mbox", "mail/2026"], {"mail": {"mbox": {"prefix": "mail/2026"}}}),
        (
            ["calendar", "https://example.com/dav", "--caldav", "--secret", "login"],
            {"calendar": {"url": "https://example.com/dav", "protocol": "CalDAV", **SECRET}},
        ),
        (["plugin", "wiki", "--set", "space=HR=x"], {"plugin": {"name": "wiki", "config": {"space": "HR=x"}}}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
async def test_orders_a_source(cli: Cli, double: Double, arguments: list[str], source: dict[str, Any]) -> None:
    double.on("POST", "/api/v1/ingest-jobs", answer(job(phase="Pending"), 201))
    done = await cli("ingest", *arguments, "--tag", "t", "--force", "--name", "nightly", "--priority", "Cold", *WORKERS)
    assert done.exit_code == 0, done.stderr
    assert "ingesting as job-1" in done.stdout
    sent = json.loads(double.asked[-1].body)
    assert (sent["name"], sent["tags"], sent["force"]) == ("nightly", ["t"], True)
    assert (sent["priority"], sent["parallelism"]) == ("Cold", 8)
    [(kind, wanted)] = source.items()
    given = {name: value for name, value in sent["source"].items() if value is not None}
    assert list(given) == [kind]
    assert _shown(given[kind], wanted) == wanted


def _shown(given: Any, wanted: Any) -> Any:
    """What the order says of the fields in question; the others are defaults."""
    if isinstance(given, dict) and isinstance(wanted, dict):
        return {name: _shown(given.get(name), value) for name, value in wanted.items()}
    return given


async def test_waits_until_all_is_searchable(cli: Cli, double: Double) -> None:
    double.on("POST", "/api/v1/ingest-jobs", answer(job(phase="Pending"), 201))
    double.on("GET", "/ws", socket(message("snapshot", 1, told("Succeeded"))))
    done = await cli("ingest", "s3", "--wait")
    assert done.exit_code == 0, done.stderr
    assert "1 of 1 documents searchable" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["s3", "/handbooks"], "prefix"),
        (["s3", "--bucket", "theirs"], "belong together"),
        (["web", "ftp://example.com"], "urls"),
        (["web", "https://me:secret@example.com/"], "urls"),
        (["calendar", "https://example.com", "--secret", "No_Name"], "secretRef"),
        (["plugin", "web"], "is no plug-in"),
        (["plugin", "wiki", "--set", "space"], "KEY=VALUE"),
        (["s3", "--parallelism", "65"], "--parallelism"),
    ],
)
async def test_refuses_what_the_server_would(cli: Cli, double: Double, arguments: list[str], words: str) -> None:
    done = await cli("ingest", *arguments)
    assert done.exit_code == 2
    assert words in done.stderr
    assert double.asked == []
