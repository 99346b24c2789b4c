"""Every wrong request gets its own code, and a foreign id reads exactly like an absent one."""

import io
import re
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from yarl import URL

from dreamhub.ids import new_id
from dreamhub_api.auth.principal import ORDINARY
from dreamhub_api.routes import ROUTES
from tests.integration.api.platform import Caller

ID_ROUTES = [route for route in ROUTES if "{" in route.path]
OWN_ROUTES = [route for route in ID_ROUTES if route.scope in ORDINARY]
"""Which a tenant's own account may call."""


@pytest.mark.parametrize("route", ID_ROUTES, ids=lambda route: route.name)
async def test_foreign_reads_like_absent(caller: Caller, stranger: Caller, route: Any) -> None:
    _, document = await stranger.upload("secret-name.txt", b"Another tenant's text.")
    job = await stranger.ok("POST", "/ingest-jobs", json={"source": {"documents": {"ids": [document["id"]]}}})
    by_document = "document_id" in route.path
    foreign = await _read(caller, route, document["id"] if by_document else job["name"])
    absent = await _read(caller, route, new_id("doc") if by_document else "z" * len(job["name"]))
    assert foreign[0] == (404 if route.scope in ORDINARY else 403)
    assert foreign == absent
    assert (await stranger.call("GET", f"/documents/{document['id']}"))[0] == 200


async def _read(caller: Caller, route: Any, value: str) -> tuple[int, Any, dict[str, str]]:
    """An answer without what differs between any two requests."""
    status, problem, headers = await caller.full(route.method, re.sub(r"{\w+}", value, route.path))
    problem["instance"] = problem["instance"].replace(value, "ID")
    del problem["requestId"]
    for volatile in ("Date", "X-Request-ID"):
        del headers[volatile]
    return status, problem, dict(headers)


@pytest.mark.parametrize("route", OWN_ROUTES, ids=lambda route: route.name)
@pytest.mark.parametrize("value", ["x", "doc_", "..%2F..%2Fsecrets", "A" * 300, "%00", "job%2Fother"])
async def test_impossible_ids_are_absent(caller: Caller, route: Any, value: str) -> None:
    path = re.sub(r"{\w+}", lambda _: value, route.path)
    url = URL(f"{caller.url}/api/v1{path}", encoded=True)
    async with caller.session.request(route.method, url, headers=caller.headers) as response:
        assert response.status == 404
        assert (await response.json(content_type=None))["code"] in {"DocumentNotFound", "JobNotFound"}


@dataclass(frozen=True)
class BadBody:
    path: str
    data: bytes
    status: int
    code: str
    content_type: str = "application/json"


BAD_BODIES = (
    BadBody("/search", b"{", 400, "MalformedJSON"),
    BadBody("/search", b"", 400, "MalformedJSON"),
    BadBody("/search", b"\xff\xfe", 400, "MalformedJSON"),
    BadBody("/search", b"{}", 415, "UnsupportedContentType", "text/plain"),
    BadBody("/search", b"[]", 400, "InvalidFields"),
    BadBody("/search", b"{}", 400, "InvalidFields"),
    BadBody("/search", b'{"query":"x","surprise":1}', 400, "InvalidFields"),
    BadBody("/search", b'{"query":"   "}', 400, "InvalidFields"),
    BadBody("/search", b'{"query":"' + b"q" * 2001 + b'"}', 400, "InvalidFields"),
    BadBody("/search", b'{"query":"x","limit":"10"}', 400, "InvalidFields"),
    BadBody("/search", b'{"query":"x","limit":51}', 400, "InvalidFields"),
    BadBody("/search", b'{"query":"' + b"q" * 3_000_000 + b'"}', 413, "TooLarge"),
    BadBody("/answers", b'{"question":"x","passages":0}', 400, "InvalidFields"),
    BadBody("/ingest-jobs", b'{"source":{}}', 400, "InvalidFields"),
    BadBody("/ingest-jobs", b'{"name":"Bad_Name","source":{"inline":{"name":"a","text":"b"}}}', 400, "InvalidFields"),
)


@pytest.mark.parametrize("bad", BAD_BODIES, ids=lambda bad: f"{bad.path}-{bad.code}-{bad.data[:30]!r}")
async def test_bad_bodies(caller: Caller, bad: BadBody) -> None:
    headers = {"Content-Type": bad.content_type}
    status, problem = await caller.call("POST", bad.path, data=io.BytesIO(bad.data), headers=headers)
    assert (status, problem["code"]) == (bad.status, bad.code)


async def test_field_errors_name_the_field_and_never_the_value(caller: Caller) -> None:
    body = {"query": "x", "filters": {"documents": ["not-an-id-but-a-secret"]}}
    _, problem = await caller.call("POST", "/search", json=body)
    assert problem["errors"][0]["field"] == "filters.documents.0"
    assert "secret" not in str(problem)


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "limit=1&limit=2", "unknown=1"])
async def test_bad_queries(caller: Caller, query: str) -> None:
    status, problem = await caller.call("GET", f"/documents?{query}")
    assert (status, problem["code"]) == (400, "InvalidFields")


async def test_unknown_route_and_method(caller: Caller) -> None:
    status, problem = await caller.call("GET", "/nothing")
    assert (status, problem["code"]) == (404, "NotFound")
    status, problem, headers = await caller.full("PUT", "/documents")
    assert (status, problem["code"]) == (405, "MethodNotAllowed")
    assert headers["Allow"] == "GET, POST"


async def test_request_id_is_kept_or_made(caller: Caller) -> None:
    _, problem, headers = await caller.full("GET", "/nothing", headers={"X-Request-ID": "mine-1"})
    assert problem["requestId"] == headers["X-Request-ID"] == "mine-1"
    _, _, headers = await caller.full("GET", "/documents", headers={"X-Request-ID": "two words"})
    assert re.fullmatch(r"[0-9a-f]{16}", headers["X-Request-ID"])


async def test_operations_need_no_login(http: aiohttp.ClientSession, server: str) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/api/v1/openapi.json"):
        async with http.get(server + path) as response:
            assert response.status == 200
    async with http.get(server + "/metrics") as response:
        text = await response.text()
    assert 'dreamhub_http_request_seconds_count{method="GET",route="/api/v1/documents",status="200"}' in text
    assert "search_latency_ms" in text
