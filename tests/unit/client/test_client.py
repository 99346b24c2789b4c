"""The client against a scripted server: what it sends, what it makes of answers, when it tries again."""

import json
from pathlib import Path

import pytest

from dreamhub_client import Client, FileToken, RenewedToken, StaticToken, open_client, upload_bytes, upload_file
from dreamhub_client.errors import (
    BadRequestError,
    ConflictError,
    CredentialError,
    NotFoundError,
    ProtocolError,
    ServerError,
    TooLargeError,
    UnauthenticatedError,
    UnreachableError,
)
from dreamhub_client.models import IngestJobCreate, SearchRequest
from dreamhub_client.sources import DocumentsSource, JobSource
from tests.unit.client.conftest import FAST
from tests.unit.client.double import DOCUMENT_ID, Double, answer, document, hang_up, job, plain, problem

DOCUMENTS = "/api/v1/documents"


async def test_upload_streams_a_file_and_tells_its_progress(client: Client, double: Double, tmp_path: Path) -> None:
    path = tmp_path / "报告.md"
    path.write_bytes(b"x" * 600_000)
    double.on("POST", DOCUMENTS, answer(document(name="报告.md"), 201))
    seen: list[int] = []
    stored = await client.upload_document(upload_file(path, tags=("a", "b"), progress=seen.append))
    asked = double.asked[-1]
    assert asked.body == path.read_bytes()
    assert asked.query == [("name", "报告.md"), ("tags", "a"), ("tags", "b")]
    assert asked.authorization == "Bearer t0"
    assert seen[0] == 0
    assert seen == sorted(seen)
    assert seen[-1] == 600_000
    assert stored.id == DOCUMENT_ID


async def test_upload_is_sent_again_whole_after_a_busy_answer(client: Client, double: Double) -> None:
    busy = problem(503, "Unavailable", "s3 is away")
    double.on("POST", DOCUMENTS, busy, answer(document(), 201))
    await client.upload_document(upload_bytes("note.md", b"hello world!"))
    assert [asked.body for asked in double.asked] == [b"hello world!"] * 2


async def test_lists_follow_their_cursor(client: Client, double: Double) -> None:
    first = {"items": [document(name="a"), document(name="b")], "nextCursor": "c1"}
    double.on("GET", DOCUMENTS, answer(first), answer({"items": [document(name="c")]}))
    assert [item.name async for item in client.iterate_documents()] == ["a", "b", "c"]
    assert ("cursor", "c1") in double.asked[-1].query


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, BadRequestError), (404, NotFoundError), (409, ConflictError), (413, TooLargeError), (500, ServerError)],
)
async def test_problems_become_typed_errors(
    client: Client, double: Double, status: int, kind: type[BadRequestError]
) -> None:
    double.on("GET", f"{DOCUMENTS}/{DOCUMENT_ID}", problem(status, "SomeCode", "what and why", limit=7))
    with pytest.raises(kind) as caught:
        await client.fetch_document(DOCUMENT_ID)
    assert (caught.value.code, caught.value.message, caught.value.problem.limit) == ("SomeCode", "what and why", 7)
    assert len(double.asked) == 1


async def test_busy_server_is_asked_again_but_not_for_ever(client: Client, double: Double) -> None:
    double.on("POST", "/api/v1/search", problem(503, "Unavailable", "the database is away"))
    with pytest.raises(ServerError, match="database is away"):
        await client.search(SearchRequest(query="x"))
    assert len(double.asked) == FAST.attempts


async def test_lost_connection_never_starts_a_second_job(client: Client, double: Double) -> None:
    request = IngestJobCreate(source=JobSource(documents=DocumentsSource(ids=(DOCUMENT_ID,))))
    double.on("POST", "/api/v1/ingest-jobs", hang_up(), answer(job(), 201))
    with pytest.raises(UnreachableError):
        await client.create_ingest_job(request)
    assert len(double.asked) == 1
    assert json.loads(double.asked[0].body)["source"] == {"documents": {"ids": [DOCUMENT_ID]}}


async def test_lost_connection_is_mended_for_reads(client: Client, double: Double) -> None:
    double.on("GET", f"{DOCUMENTS}/{DOCUMENT_ID}", hang_up(), answer(document()))
    assert (await client.fetch_document(DOCUMENT_ID)).name == "note.md"


async def test_refused_token_is_renewed_once(double: Double) -> None:
    minted: list[str] = []

    async def mint() -> str:
        minted.append(f"t{len(minted)}")
        return minted[-1]

    expired = problem(401, "Unauthenticated", "the token has expired")
    double.on("GET", "/api/v1/tenants/self", expired)
    async with open_client(double.server, RenewedToken(mint, 3600), policy=FAST) as client:
        with pytest.raises(UnauthenticatedError):
            await client.fetch_tenant()
    assert [asked.authorization for asked in double.asked] == ["Bearer t0", "Bearer t1"]


async def test_token_is_kept_for_its_lifetime() -> None:
    now = 0.0
    minted = 0

    async def mint() -> str:
        nonlocal minted
        minted += 1
        return f"t{minted}"

    tokens = RenewedToken(mint, 60, clock=lambda: now)
    assert [await tokens.fetch_token(), await tokens.fetch_token()] == ["t1", "t1"]
    now = 60.0
    assert await tokens.fetch_token() == "t2"
    assert await tokens.fetch_token(renew=True) == "t3"


async def test_token_file_is_read_at_each_call_and_named_when_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "token"
    with pytest.raises(CredentialError, match="token cannot be read"):
        await FileToken(path).fetch_token()
    path.write_text("\n")
    with pytest.raises(CredentialError, match="is empty"):
        await FileToken(path).fetch_token()
    path.write_text("abc\n")
    assert await FileToken(path).fetch_token() == "abc"


async def test_another_service_is_told_from_ours(client: Client, double: Double) -> None:
    double.on("GET", f"{DOCUMENTS}/x", plain(502, "<html>Bad gateway"), plain(200, "hello"))
    with pytest.raises(ProtocolError, match="without a problem document"):
        await client.fetch_document("x")
    with pytest.raises(ProtocolError, match="did not answer with a Document"):
        await client.fetch_document("x")


async def test_redirect_is_told_and_never_followed_with_the_token(client: Client, double: Double) -> None:
    double.on("GET", f"{DOCUMENTS}/x", answer({}, 308, {"Location": f"{double.server}/elsewhere"}))
    double.on("GET", "/elsewhere", answer(document()))
    with pytest.raises(ProtocolError, match=r"redirects to .*/elsewhere: use that address"):
        await client.fetch_document("x")
    assert double.count("GET", "/elsewhere") == 0


async def test_ids_cannot_leave_their_segment(client: Client, double: Double) -> None:
    with pytest.raises(NotFoundError):
        await client.fetch_document("../tenants/self?x=1#")
    assert double.asked[-1].path == f"{DOCUMENTS}/../tenants/self?x=1#"
    assert double.asked[-1].query == []


async def test_content_is_streamed(client: Client, double: Double) -> None:
    double.on("GET", f"{DOCUMENTS}/{DOCUMENT_ID}/content", plain(200, "the original"))
    assert b"".join([piece async for piece in client.stream_content(DOCUMENT_ID)]) == b"the original"


async def test_nobody_there_is_said_with_the_address() -> None:
    async with open_client("http://127.0.0.1:9", StaticToken("t"), policy=FAST) as client:
        with pytest.raises(UnreachableError, match=r"http://127\.0\.0\.1:9 cannot be reached"):
            await client.check_health()


@pytest.mark.parametrize("server", ["", "hub.example", "ftp://hub.example", "http://", "http://[::1"])
async def test_bad_addresses_are_refused_at_once(server: str) -> None:
    with pytest.raises(ProtocolError, match="is no server address"):
        async with open_client(server, None):
            pass
