"""Bad input: each kind gets its own clear error through REST, CLI and the job's status, and leaves nothing behind."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from dreamhub_client import Client, StaticToken, open_client, upload_bytes, upload_file
from dreamhub_client.errors import ApiError, ForbiddenError, NotFoundError, TooLargeError, UnauthenticatedError
from dreamhub_client.kube import create_token
from dreamhub_client.models import IngestJobCreate
from dreamhub_client.sources import DocumentsSource, JobSource
from tests.e2e.files import BAD_FILES, MEGABYTE, BadFile
from tests.e2e.kube import Kube
from tests.e2e.tenants import JOB_SECONDS, Tenant, new_name, open_tenant
from tests.e2e.traces import find_traces

EARLY = [file for file in BAD_FILES if not file.late]
LATE = [file for file in BAD_FILES if file.late]


def stem(file: BadFile) -> str:
    return file.name.partition(".")[0]


@pytest_asyncio.fixture(scope="module")
async def victim(kube: Kube, server: str) -> AsyncIterator[Tenant]:
    """A tenant who gets nothing but bad input, so that what is left behind shows."""
    async with open_tenant(kube, server, "victim") as opened:
        yield opened


@pytest.mark.parametrize("file", EARLY, ids=stem)
async def test_refused_at_upload(victim: Tenant, file: BadFile) -> None:
    before = await find_traces(victim)
    with pytest.raises(ApiError) as refused:
        await victim.client.upload_document(upload_bytes(file.name, file.content, media_type=file.media_type))
    assert refused.value.code == file.code
    assert file.words in refused.value.message
    assert refused.value.status in {400, 415}
    assert await find_traces(victim) == before


@pytest.mark.parametrize("file", EARLY, ids=stem)
async def test_refused_by_the_cli(victim: Tenant, file: BadFile, tmp_path: Path) -> None:
    before = await find_traces(victim)
    path = tmp_path / file.name
    path.write_bytes(file.content)
    done = await victim.cli("upload", str(path), "--wait")
    assert done.code == 5
    assert f"({file.code})" in done.err
    assert done.out == ""
    as_json = json.loads((await victim.cli("upload", str(path), "--json")).out)
    assert (as_json["refused"][0]["code"], as_json["documents"], as_json["jobs"]) == (file.code, [], [])
    assert await find_traces(victim) == before


@pytest.mark.parametrize("file", LATE, ids=stem)
async def test_refused_by_the_worker(victim: Tenant, file: BadFile) -> None:
    """What only a parser can know: told by the job, in REST and in the status, with the same words."""
    before = await find_traces(victim)
    document = await victim.upload(file.name, file.content)
    job = await victim.client.create_ingest_job(
        IngestJobCreate(source=JobSource(documents=DocumentsSource(ids=(document.id,))))
    )
    update = await victim.client.wait_job(job.name, JOB_SECONDS)
    assert (update.phase, update.reason) == ("Failed", "DocumentsFailed")
    assert [(error.document, error.reason) for error in update.errors] == [(document.id, file.code)]
    assert file.words in update.errors[0].message
    await victim.kube.wait_condition(f"ingestjob {job.name}", "Failed", seconds=90)
    status = (await victim.kube.get("ingestjob", job.name))["status"]
    assert [(error["document"], error["reason"]) for error in status["errors"]] == [(document.id, file.code)]
    assert file.words in status["errors"][0]["message"]
    done = [item async for item in victim.client.iterate_job_documents(job.name)]
    assert [item.outcome for item in done] == ["Failed"]
    stored = await victim.client.fetch_document(document.id)
    assert (stored.active_version, stored.state, stored.chunks) == (None, "failed", 0)
    assert [chunk async for chunk in victim.client.iterate_chunks(document.id)] == []
    await victim.client.delete_document(document.id)
    assert await find_traces(victim) == before


@pytest.mark.parametrize("file", LATE, ids=stem)
async def test_refused_by_the_worker_through_the_cli(victim: Tenant, file: BadFile, tmp_path: Path) -> None:
    path = tmp_path / file.name
    path.write_bytes(file.content)
    done = await victim.cli("upload", str(path), "--wait")
    assert done.code == 8
    assert f"({file.code})" in done.out
    assert file.words in done.out
    for document in await victim.documents():
        await victim.client.delete_document(document.id)


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [("liar.pdf", "This is no PDF.", "TypeMismatch"), ("run.txt", "#!/bin/sh\nrm -r /", "ExecutableFile")],
)
async def test_bad_text_in_a_job_is_told_in_its_status(victim: Tenant, name: str, text: str, code: str) -> None:
    job = new_name("bad")
    await victim.kube.apply(victim.job(job, inline={"name": name, "text": text}))
    await victim.kube.wait_condition(f"ingestjob {job}", "Failed", seconds=JOB_SECONDS)
    status = (await victim.kube.get("ingestjob", job))["status"]
    assert (status["phase"], [error["reason"] for error in status["errors"]]) == ("Failed", [code])
    searched = await victim.search("This is no PDF", 50)
    assert searched == ()
    for document in await victim.documents():
        await victim.client.delete_document(document.id)


async def test_one_bad_document_does_not_spoil_the_others(victim: Tenant) -> None:
    good = await victim.upload("good.md", b"The carpenter planes the oak door.")
    bad = await victim.upload("locked.pdf", next(file.content for file in LATE if file.name == "locked.pdf"))
    update = await victim.ingest(good.id, bad.id)
    counts = update.progress.documents
    assert (update.phase, counts.total, counts.done, counts.failed) == ("Failed", 2, 1, 1)
    assert (await victim.search("carpenter oak door"))[0].document_id == good.id
    for document in (good, bad):
        await victim.client.delete_document(document.id)


async def test_file_above_the_limit_is_refused_before_it_is_stored(victim: Tenant, tmp_path: Path) -> None:
    before = await find_traces(victim)
    path = tmp_path / "huge.txt"
    with path.open("wb") as file:
        for _ in range(200):
            file.write(b"all work and no play " * (MEGABYTE // 21))
    with pytest.raises(TooLargeError, match="larger than the limit of 104857600 bytes") as refused:
        await victim.client.upload_document(upload_file(path))
    assert refused.value.problem.limit == 100 * MEGABYTE
    done = await victim.cli("upload", str(path))
    assert done.code == 5
    assert "(TooLarge)" in done.err
    assert await find_traces(victim) == before


async def test_file_that_hides_its_size_is_cut_at_the_limit(victim: Tenant) -> None:
    """A chunked request announces nothing: the server must count."""
    before = await find_traces(victim)
    token = await create_token(victim.access)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(110):
            yield b"x" * MEGABYTE

    headers = {"Authorization": f"Bearer {token}", "Content-Type": "text/plain"}
    url = f"{victim.server}/api/v1/documents?name=endless.txt"
    async with aiohttp.ClientSession() as session, session.post(url, data=pieces(), headers=headers) as answer:
        assert (answer.status, (await answer.json())["code"]) == (413, "TooLarge")
    assert await find_traces(victim) == before


async def test_text_above_the_limit_of_an_object_is_refused_by_the_cluster(victim: Tenant) -> None:
    words = await victim.kube.refuse(victim.job("huge", inline={"name": "a.txt", "text": "x" * 300_000}))
    assert "spec.source.inline.text" in words
    assert "200000" in words


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "MalformedJSON"),
        (b"\xff\xfe", "MalformedJSON"),
        (b"[]", "InvalidFields"),
        (b'{"query": "x", "limt": 3}', "InvalidFields"),
        (b'{"query": "   "}', "InvalidFields"),
        (b'{"query": "x", "limit": -1}', "InvalidFields"),
    ],
)
async def test_malformed_json_is_told_with_its_field(victim: Tenant, body: bytes, code: str) -> None:
    headers = {"Authorization": f"Bearer {await create_token(victim.access)}", "Content-Type": "application/json"}
    url = f"{victim.server}/api/v1/search"
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
        assert answer.content_type == "application/problem+json"
        problem = await answer.json()
    assert (answer.status, problem["code"]) == (400, code)
    assert code == "MalformedJSON" or problem["errors"]


async def test_malformed_manifest_is_refused_by_kubectl(victim: Tenant) -> None:
    done = await victim.kube.run("create", "--filename", "-", stdin='{"apiVersion": "dreamhub.dev/v1alpha1", "kind": ')
    assert done.code != 0
    assert "error" in done.err


async def test_job_for_a_deleted_document(victim: Tenant) -> None:
    document = await victim.upload("short-lived.txt", b"Gone before it was read.")
    await victim.client.delete_document(document.id)
    with pytest.raises(NotFoundError) as refused:
        await victim.ingest(document.id)
    assert refused.value.code == "DocumentNotFound"
    job = new_name("late")
    await victim.kube.apply(victim.job(job, documents={"ids": [document.id]}))
    await victim.kube.wait_condition(f"ingestjob {job}", "Failed", seconds=60)
    status = (await victim.kube.get("ingestjob", job))["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "DocumentNotFound")
    assert document.id in status["message"] + str(status.get("errors"))
    watched = await victim.cli("watch", job)
    assert watched.code == 8
    assert "DocumentNotFound" in watched.out
    assert await victim.kube.items("jobs", "--selector", f"dreamhub.dev/owner-uid={await uid_of(victim, job)}") == []


async def uid_of(tenant: Tenant, job: str) -> str:
    uid: str = (await tenant.kube.get("ingestjob", job))["metadata"]["uid"]
    return uid


async def refusal(client: Client) -> ApiError:
    with pytest.raises(ApiError) as refused:
        await client.fetch_tenant()
    return refused.value


async def refused_token(server: str, token: str) -> ApiError:
    async with open_client(server, StaticToken(token)) as client:
        return await refusal(client)


async def test_no_token_and_no_token_at_all(server: str) -> None:
    async with open_client(server, None) as client:
        error = await refusal(client)
    assert (error.status, error.code) == (401, "TokenMissing")
    assert "kubectl -n dh-<tenant> create token owner --audience dreamhub" in error.message
    assert (await refused_token(server, "hunter2")).code == "TokenMalformed"


async def test_token_for_another_audience(victim: Tenant) -> None:
    error = await refused_token(victim.server, (await victim.kube.ask("create", "token", "owner")).strip())
    assert (type(error), error.code) == (UnauthenticatedError, "TokenAudience")


async def test_expired_token(victim: Tenant) -> None:
    """A real token whose time is turned back. Its signature no longer holds, and it is told to have expired first."""
    head, body, signature = (await create_token(victim.access)).split(".")
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))

    def forge(expires: int) -> str:
        forged = json.dumps({**claims, "exp": expires}).encode()
        return f"{head}.{base64.urlsafe_b64encode(forged).decode().rstrip('=')}.{signature}"

    old = forge(1_700_000_000)
    error = await refused_token(victim.server, old)
    assert (type(error), error.code) == (UnauthenticatedError, "TokenExpired")
    assert (await refused_token(victim.server, forge(4_000_000_000))).code == "TokenRefused"
    done = await victim.cli("--token", old, "jobs")
    assert done.code == 3
    assert "the token has expired; get a new one (TokenExpired)" in done.err


async def test_token_of_a_service_account_that_is_no_tenants(kube: Kube, victim: Tenant) -> None:
    token = await kube.ask("create", "token", "default", "--audience", "dreamhub")
    error = await refused_token(victim.server, token.strip())
    assert (type(error), error.code) == (ForbiddenError, "UnknownTenant")


async def test_token_of_a_namespace_that_only_looks_like_a_tenants(kube: Kube, server: str) -> None:
    namespace = f"dh-{new_name('fake')}"
    await kube.ask("create", "namespace", namespace)
    try:
        inside = kube.within(namespace)
        await inside.ask("create", "serviceaccount", "owner")
        token = await inside.ask("create", "token", "owner", "--audience", "dreamhub")
        error = await refused_token(server, token.strip())
        assert (type(error), error.code) == (ForbiddenError, "UnknownTenant")
    finally:
        await kube.ask("delete", "namespace", namespace, "--wait=false")


async def test_worker_of_a_tenant_may_not_use_the_api(victim: Tenant) -> None:
    token = await victim.kube.ask("create", "token", "worker", "--audience", "dreamhub")
    assert (await refused_token(victim.server, token.strip())).code == "WorkerToken"


async def test_foreign_token_reaches_only_its_own_tenant(victim: Tenant, rival: Tenant) -> None:
    mine, theirs = await asyncio.gather(victim.client.fetch_tenant(), rival.client.fetch_tenant())
    assert (mine.name, theirs.name) == (victim.name, rival.name)


async def test_foreign_token_through_the_cli_reads_as_if_the_job_were_absent(victim: Tenant, rival: Tenant) -> None:
    name = new_name("mine")
    await victim.kube.apply(victim.job(name, inline={"name": f"{name}.md", "text": "Not for others."}))
    never = new_name("never")
    foreign, absent = await asyncio.gather(rival.cli("watch", name), rival.cli("watch", never))
    assert (foreign.code, absent.code) == (4, 4)
    assert "(JobNotFound)" in foreign.err
    assert foreign.err.replace(name, "NAME") == absent.err.replace(never, "NAME")


async def test_foreign_account_may_not_create_a_job_with_kubectl(victim: Tenant, rival: Tenant) -> None:
    manifest = json.dumps(victim.job("intruder", inline={"name": "a.md", "text": "x"}))
    done = await victim.kube.run(
        *("create", "--filename", "-", f"--as=system:serviceaccount:{rival.kube.namespace}:owner"), stdin=manifest
    )
    assert done.code != 0
    assert "forbidden" in done.err
    assert await victim.kube.find("ingestjob", "intruder") is None


async def test_wrong_login_through_the_cli(victim: Tenant) -> None:
    token = (await victim.kube.ask("create", "token", "owner")).strip()
    done = await victim.cli("--token", token, "jobs")
    assert done.code == 3
    assert "(TokenAudience)" in done.err
    assert token not in done.err + done.out
