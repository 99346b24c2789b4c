"""Documents through HTTP: upload, read, delete, and every way to be refused."""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import obstore
import pytest
from obstore.store import S3Store

from dreamhub.domain.office_files import DOCX, OLE_START, TAIL_BYTES
from dreamhub.storage.objects import ObjectStore, ObjectStoreSettings
from tests.integration.api.conftest import UPLOAD_LIMIT
from tests.integration.api.platform import Caller, Tenant
from tests.unit.worker.office import handmade_docx, zipped

TEXT = b"The warranty lasts 24 months from the date of delivery.\n"


class Objects:
    """What lies in the bucket, seen by S3 itself."""

    def __init__(self, settings: ObjectStoreSettings) -> None:
        self._settings = settings

    async def keys(self, tenant: str) -> list[str]:
        store = S3Store(
            self._settings.bucket,
            endpoint=self._settings.endpoint,
            region=self._settings.region,
            access_key_id=self._settings.access_key,
            secret_access_key=self._settings.secret_key,
            client_options={"allow_http": True},
        )
        return [item["path"] for item in await obstore.list(store, f"tenants/{tenant}/").collect_async()]


@pytest.fixture
def objects(s3_settings: ObjectStoreSettings, object_store: ObjectStore) -> Objects:
    return Objects(s3_settings)


async def test_upload_read_delete(caller: Caller) -> None:
    status, document = await caller.upload("note.txt", TEXT, params={"tags": "handbook,terms"})
    assert status == 201
    assert document["name"] == "note.txt"
    assert document["tags"] == ["handbook", "terms"]
    assert document["state"] == "uploaded"
    assert document["sizeBytes"] == len(TEXT)
    path = f"/documents/{document['id']}"
    assert (await caller.ok("GET", path))["id"] == document["id"]
    assert [item["id"] for item in (await caller.ok("GET", "/documents"))["items"]] == [document["id"]]
    assert len((await caller.ok("GET", f"{path}/versions"))["items"]) == 1
    assert (await caller.ok("GET", f"{path}/chunks"))["items"] == []
    assert (await caller.call("DELETE", path))[0] == 204
    assert (await caller.call("GET", path))[0] == 404


async def test_content_comes_back_as_a_download(caller: Caller) -> None:
    _, document = await caller.upload(
        "naïve.html", b"<html><body><p>hello</p></body></html>", headers={"Content-Type": "text/html"}
    )
    status, body, headers = await caller.full("GET", f"/documents/{document['id']}/content")
    assert (status, body) == (200, b"<html><body><p>hello</p></body></html>")
    assert headers["Content-Disposition"] == "attachment; filename*=UTF-8''na%C3%AFve.html"
    assert headers["Content-Type"] == "text/html"
    assert "sandbox" in headers["Content-Security-Policy"]


async def test_the_same_bytes_again_change_nothing(caller: Caller, objects: Objects, acme: Tenant) -> None:
    _, first = await caller.upload("note.txt", TEXT)
    status, second = await caller.upload("note.txt", TEXT)
    assert status == 200
    assert second["duplicate"]
    assert second["id"] == first["id"]
    assert await objects.keys(acme.name) == [f"tenants/{acme.name}/versions/{first['latestVersion']}"]


async def test_the_same_bytes_again_heal_a_lost_original(
    caller: Caller, objects: Objects, acme: Tenant, object_store: ObjectStore
) -> None:
    _, first = await caller.upload("lost.txt", TEXT)
    key = f"tenants/{acme.name}/versions/{first['latestVersion']}"
    await object_store.delete(key)
    status, second = await caller.upload("lost.txt", TEXT)
    assert (status, second["duplicate"]) == (200, True)
    assert await objects.keys(acme.name) == [key]
    assert (await caller.full("GET", f"/documents/{first['id']}/content"))[:2] == (200, TEXT)


async def test_other_bytes_under_a_name_are_a_new_version(caller: Caller) -> None:
    _, first = await caller.upload("note.txt", TEXT)
    status, second = await caller.upload("note.txt", TEXT + b"More.")
    assert status == 201
    assert second["id"] == first["id"]
    assert second["latestVersion"] != first["latestVersion"]


async def test_multipart_form(caller: Caller) -> None:
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("file", TEXT, filename="C:\\folder\\note.md", content_type="text/markdown")
    status, document = await caller.call("POST", "/documents", data=form)
    assert (status, document["name"], document["mediaType"]) == (201, "note.md", "text/markdown")


async def test_an_office_file_is_known_by_its_end(caller: Caller) -> None:
    parts = {"film.mp4": os.urandom(TAIL_BYTES + 1), "[Content_Types].xml": b"<x/>", "word/document.xml": b"<x/>"}
    status, document = await caller.upload("report.docx", zipped(parts))
    assert (status, document["mediaType"]) == (201, DOCX)


async def test_form_without_file(caller: Caller) -> None:
    form = aiohttp.FormData()
    form.add_field("other", b"x", filename="x", content_type="text/plain")
    assert (await caller.call("POST", "/documents", data=form))[1]["code"] == "BadMultipart"


@dataclass(frozen=True)
class Refusal:
    name: str
    declared: str
    data: bytes
    status: int
    code: str


REFUSALS = (
    Refusal("empty.txt", "text/plain", b"", 400, "EmptyFile"),
    Refusal("tool", "application/octet-stream", b"\x7fELF\x02\x01\x01" + bytes(64), 415, "ExecutableFile"),
    Refusal("tool.exe", "", b"MZ\x90\x00" + bytes(64), 415, "ExecutableFile"),
    Refusal("report.pdf", "application/pdf", b"just text", 415, "TypeMismatch"),
    Refusal("notes.txt", "text/plain", b"%PDF-1.7\n%", 415, "TypeMismatch"),
    Refusal("bundle.zip", "application/octet-stream", b"PK\x03\x04" + bytes(64), 415, "ArchiveFile"),
    Refusal("report.docx", DOCX, zipped({"setup.exe": b"MZ"}), 415, "ArchiveFile"),
    Refusal("report.docx", DOCX, handmade_docx("")[:-8], 400, "CorruptOffice"),
    Refusal("report.docx", DOCX, OLE_START + bytes(600), 415, "LegacyOffice"),
    Refusal("report.docm", "application/vnd.ms-word.document.macroEnabled.12", b"PK", 415, "MacroEnabled"),
    Refusal("photo.png", "image/png", b"\x89PNG\r\n\x1a\n" + bytes(64), 415, "UnsupportedType"),
    Refusal("", "text/plain", b"text", 400, "InvalidFields"),
    Refusal("bad\nname.txt", "text/plain", b"text", 400, "InvalidFields"),
)


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: f"{refusal.code}-{refusal.name!r}")
async def test_refused_files_leave_nothing(caller: Caller, objects: Objects, acme: Tenant, refusal: Refusal) -> None:
    headers = {"Content-Type": refusal.declared}
    status, problem = await caller.upload(refusal.name, refusal.data, headers=headers)
    assert (status, problem["code"], problem["status"]) == (refusal.status, refusal.code, refusal.status)
    assert problem["requestId"]
    assert await objects.keys(acme.name) == []
    assert (await caller.ok("GET", "/documents"))["items"] == []


async def test_name_is_needed(caller: Caller) -> None:
    headers = {"Content-Type": "text/plain"}
    assert (await caller.call("POST", "/documents", data=TEXT, headers=headers))[1]["code"] == "NameMissing"


async def test_limit_by_announced_size(caller: Caller, objects: Objects, acme: Tenant) -> None:
    status, problem = await caller.upload("big.txt", b"a" * (UPLOAD_LIMIT + 1))
    assert (status, problem["code"], problem["limit"]) == (413, "TooLarge", UPLOAD_LIMIT)
    assert await objects.keys(acme.name) == []


async def test_limit_while_streaming(caller: Caller, objects: Objects, acme: Tenant) -> None:
    async def stream() -> AsyncIterator[bytes]:
        for _ in range(UPLOAD_LIMIT // 50_000 + 1):
            yield b"a" * 50_000

    status, problem = await caller.upload("big.txt", stream())
    assert (status, problem["code"], problem["limit"]) == (413, "TooLarge", UPLOAD_LIMIT)
    assert await objects.keys(acme.name) == []
    assert (await caller.ok("GET", "/documents"))["items"] == []


async def test_exactly_the_limit_is_fine(caller: Caller) -> None:
    assert (await caller.upload("big.txt", b"a" * UPLOAD_LIMIT))[0] == 201


async def test_interrupted_upload_leaves_nothing(caller: Caller, objects: Objects, acme: Tenant) -> None:
    async def stream() -> AsyncIterator[bytes]:
        yield b"a" * 100_000
        raise RuntimeError("the client breaks off")

    with pytest.raises((RuntimeError, aiohttp.ClientError)):
        await caller.upload("cut.txt", stream())
    assert (await caller.ok("GET", "/documents"))["items"] == []
    assert await objects.keys(acme.name) == []


async def test_pages(caller: Caller) -> None:
    ids = [(await caller.upload(f"{number}.txt", f"text {number}".encode()))[1]["id"] for number in range(5)]
    first = await caller.ok("GET", "/documents?limit=3")
    second = await caller.ok("GET", f"/documents?limit=3&cursor={first['nextCursor']}")
    assert [item["id"] for item in (*first["items"], *second["items"])] == ids[::-1]
    assert second["nextCursor"] is None


@pytest.mark.parametrize("path", ["/documents?cursor=nonsense", "/ingest-jobs?cursor=nonsense"])
async def test_bad_cursor(caller: Caller, path: str) -> None:
    status, problem = await caller.call("GET", path)
    assert (status, problem["code"]) == (400, "InvalidCursor")


async def test_idempotency_key_creates_once(caller: Caller) -> None:
    headers = {"Idempotency-Key": "upload-1", "Content-Type": "text/plain"}
    first = await caller.full("POST", "/documents?name=a.txt", data=TEXT, headers=headers)
    second = await caller.full("POST", "/documents?name=a.txt", data=TEXT, headers=headers)
    assert (first[0], second[0]) == (201, 201)
    assert second[1]["id"] == first[1]["id"]
    assert second[2]["Idempotency-Replayed"] == "true"
    status, problem = await caller.call("POST", "/documents?name=a.txt", data=b"Other bytes.", headers=headers)
    assert (status, problem["code"]) == (422, "IdempotencyMismatch")
    status, problem = await caller.call("POST", "/documents?name=b.txt", data=TEXT, headers=headers)
    assert (status, problem["code"]) == (422, "IdempotencyMismatch")


async def test_idempotency_keys_are_the_tenants_own(caller: Caller, stranger: Caller) -> None:
    headers = {"Idempotency-Key": "shared"}
    _, mine = await caller.upload("a.txt", TEXT, headers=headers)
    status, theirs = await stranger.upload("a.txt", TEXT, headers=headers)
    assert status == 201
    assert theirs["id"] != mine["id"]
