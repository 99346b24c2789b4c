"""The command line as a user types it, each run a process of its own, logged in through kubectl."""

import json
import sys
from pathlib import Path

import pytest

from hack.demo.pdf import SAMPLES
from hack.demo.story import EXPECTED, QUESTION, judge_answer
from tests.e2e.kube import run
from tests.e2e.tenants import Tenant, cli_environment, new_name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two notes about a name that no other test uses."""
    mark = new_name("cli")
    (tmp_path / f"{mark}-a.md").write_text(f"# {mark}\n\nThe heron of {mark} nests in the reeds.")
    (tmp_path / f"{mark}-b.txt").write_text(f"The otter of {mark} sleeps in the bank.")
    return tmp_path


async def test_upload_wait_search_ask(tenant: Tenant) -> None:
    done = await tenant.cli("upload", str(SAMPLES / "documents" / EXPECTED.document), "--tag", "manuals", "--wait")
    assert done.code == 0, done
    found = await tenant.cli("search", "what disturbs the ammonium reading in brackish water?")
    assert found.code == 0
    assert f"{EXPECTED.document}, page 9" in found.out
    asked = await tenant.cli("ask", QUESTION)
    assert "eight hours" in asked.out
    assert f"[1] {EXPECTED.document}, page {EXPECTED.page}" in asked.out
    assert EXPECTED.section in asked.out
    assert judge_answer((await tenant.cli("ask", QUESTION, "--json")).out) is None


async def test_upload_shows_progress_and_result(tenant: Tenant, folder: Path) -> None:
    done = await tenant.cli("upload", str(folder), "--wait")
    assert done.code == 0, done
    assert "2 of 2 documents searchable" in done.out
    assert "100 %" in done.err
    again = await tenant.cli("upload", str(folder), "--wait", "--json")
    result = json.loads(again.out)
    assert [document["duplicate"] for document in result["documents"]] == [True, True]
    assert result["jobs"] == []


async def test_watch_and_jobs_as_json(tenant: Tenant, folder: Path) -> None:
    started = json.loads((await tenant.cli("upload", str(folder), "--json")).out)
    name = started["jobs"][0]["name"]
    watched = await tenant.cli("watch", name, "--json")
    updates = [json.loads(line) for line in watched.out.splitlines()]
    assert watched.code == 0
    assert updates[-1]["phase"] == "Succeeded"
    assert updates[-1]["progress"]["documents"]["done"] == 2
    listed = json.loads((await tenant.cli("jobs", "--json")).out)
    assert name in {job["name"] for job in listed["items"]}
    table = (await tenant.cli("jobs")).out
    assert any(line.split()[:2] == [name, "Succeeded"] for line in table.splitlines())


async def test_doctor_finds_everything_in_order(tenant: Tenant) -> None:
    done = await tenant.cli("doctor", "--json")
    result = json.loads(done.out)
    assert (done.code, result["ok"]) == (0, True), result
    assert {check["check"] for check in result["checks"]} >= {"alive", "ready", "login", "search", "websocket"}


async def test_port_forward_needs_no_server_address(tenant: Tenant) -> None:
    done = await run(
        *(sys.executable, "-m", "dreamhub_cli", "--kube", tenant.name, "jobs", "--json"),
        environment=cli_environment(tenant.kube),
    )
    assert done.code == 0, done
    assert "items" in json.loads(done.out)


async def test_kubectl_finds_its_plugin(tenant: Tenant) -> None:
    """It takes the tenant from the namespace, as every kubectl command does."""
    done = await run(
        *("kubectl", "dreamhub", "--namespace", tenant.kube.namespace, "doctor"),
        environment=cli_environment(tenant.kube),
    )
    assert done.code == 0, done
    assert f"tenant {tenant.name}" in done.out


async def test_unknown_tenant_and_absent_server_have_sentences_and_codes(tenant: Tenant) -> None:
    command = (sys.executable, "-m", "dreamhub_cli")
    environment = cli_environment(tenant.kube)
    unknown = await run(*command, "--server", tenant.server, "--kube", "nobody-here", "jobs", environment=environment)
    assert unknown.code == 3
    assert "no token for tenant nobody-here" in unknown.err
    absent = await run(*command, "--server", "http://127.0.0.1:9", "--token", "x", "jobs", environment=environment)
    assert absent.code == 7
    assert "http://127.0.0.1:9 cannot be reached" in absent.err
    missing = await tenant.cli("watch", "no-such-job")
    assert (missing.code, missing.err) == (4, "error: there is no such ingest job (JobNotFound)\n")
