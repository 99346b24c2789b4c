"""Approve, cancel, retry and the documents of a job: what is sent, what is printed, who is named."""

import json
from pathlib import Path

import pytest

from dreamhub_cli.approval import approve_by_kubectl
from dreamhub_client.errors import CredentialError
from dreamhub_client.kube import KubeAccess
from tests.unit.cli.conftest import Cli
from tests.unit.client.double import DOCUMENT_ID, VERSION_ID, Double, answer, job, problem

APPROVED = {"required": True, "approved": True, "by": "ada"}
KUBECTL = """#!/bin/sh
echo "$@" >> {log}
case "$*" in
    *whoami*) echo '{{"status": {{"userInfo": {{"username": "ada"}}}}}}' ;;
    *) test ! -e {refuse} || {{ echo "spec.approved needs the right to approve" >&2; exit 1; }} ;;
esac
"""


@pytest.mark.parametrize(("action", "words"), [("approve", "approved"), ("cancel", "stops"), ("retry", "ordered")])
async def test_each_action_is_one_call(cli: Cli, double: Double, action: str, words: str) -> None:
    double.on("POST", f"/api/v1/ingest-jobs/job-1/{action}", answer(job(approval=APPROVED)))
    done = await cli(action, "job-1")
    assert (done.exit_code, done.stdout) == (0, f"job-1 {words}\n")
    told = await cli(action, "job-1", "--json")
    assert json.loads(told.stdout)["approval"]["by"] == "ada"


async def test_who_may_not_approve_is_told_so(cli: Cli, double: Double) -> None:
    refusal = problem(403, "MissingScope", "this call needs the scope approve; the token has read, write")
    double.on("POST", "/api/v1/ingest-jobs/job-1/approve", refusal)
    done = await cli("approve", "job-1")
    assert done.exit_code == 3
    assert "scope approve" in done.stderr


async def test_documents_of_a_job_by_what_became_of_them(cli: Cli, double: Double) -> None:
    error = {"document": DOCUMENT_ID, "errorClass": "Permanent", "reason": "EncryptedPDF", "message": "save \x1b[31mit"}
    item = {
        "documentId": DOCUMENT_ID,
        "name": "plan\x1b[2J.pdf",
        "versionId": VERSION_ID,
        "outcome": "Failed",
        "error": error,
    }
    double.on("GET", "/api/v1/ingest-jobs/job-1/documents", answer({"items": [item]}))
    done = await cli("jobs", "documents", "job-1", "-o", "failed", "-o", "Queued", "--reason", "EncryptedPDF")
    assert done.exit_code == 0, done.output
    assert "EncryptedPDF" in done.stdout
    assert "plan" in done.stdout
    assert "\x1b" not in done.stdout
    query = [pair for pair in double.asked[-1].query if pair[0] != "limit"]
    assert query == [("outcome", "Failed"), ("outcome", "Queued"), ("reason", "EncryptedPDF")]


async def test_an_unknown_outcome_is_refused_before_anything_is_sent(cli: Cli, double: Double) -> None:
    done = await cli("jobs", "documents", "job-1", "--outcome", "lost")
    assert done.exit_code == 2
    assert double.asked == []


async def test_jobs_alone_lists_jobs(cli: Cli, double: Double) -> None:
    double.on("GET", "/api/v1/ingest-jobs", answer({"items": [job(phase="AwaitingApproval")]}))
    done = await cli("jobs")
    assert "AwaitingApproval" in done.stdout


@pytest.fixture
def kubectl(tmp_path: Path) -> Path:
    """A kubectl that is `ada` to its cluster and writes down what it is asked."""
    script = tmp_path / "kubectl"
    script.write_text(KUBECTL.format(log=tmp_path / "log", refuse=tmp_path / "refuse"))
    script.chmod(0o755)
    return script


async def test_kubectl_approves_under_the_name_that_the_cluster_knows(kubectl: Path) -> None:
    assert await approve_by_kubectl(KubeAccess("acme", kubectl=str(kubectl)), "job-1") == "ada"
    patched = (kubectl.parent / "log").read_text().splitlines()[1]
    assert patched.startswith("--namespace dh-acme patch ingestjobs.dreamhub.dev job-1 --type merge")
    patch = json.loads(patched.partition("--patch ")[2])
    assert patch == {"spec": {"approved": True}, "metadata": {"annotations": {"dreamhub.dev/approved-by": "ada"}}}


async def test_what_the_cluster_refuses_is_told_in_its_words(kubectl: Path) -> None:
    (kubectl.parent / "refuse").touch()
    with pytest.raises(CredentialError, match="needs the right to approve"):
        await approve_by_kubectl(KubeAccess("acme", kubectl=str(kubectl)), "job-1")
    with pytest.raises(CredentialError, match="not installed"):
        await approve_by_kubectl(KubeAccess("acme", kubectl=str(kubectl.parent / "none")), "job-1")
