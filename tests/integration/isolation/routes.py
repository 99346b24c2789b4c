"""One row for each route of the API server: how it is called with ids of one's choice, and what a stranger gets."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dreamhub_api.app import create_app

Json = dict[str, Any]
RouteKey = tuple[str, str]
"""Method and path."""


@dataclass(frozen=True)
class Ids:
    """What a request may name: of the victim, or of nobody."""

    document: str
    job: str
    marker: str
    content: bytes

    def sent(self) -> tuple[str, ...]:
        return (self.document, self.job, self.marker)


@dataclass(frozen=True)
class Case:
    """One way to call a route. `status` is what a tenant gets for ids that are not its own."""

    status: int
    options: Callable[[Ids], Json] = lambda _ids: {}
    public: bool = False
    """Needs no login, and must know nothing of any tenant."""
    name: str = field(default="", kw_only=True)


def _upload(ids: Ids) -> Json:
    """The victim's name, tag and bytes: being told of a duplicate would tell that they exist."""
    params = {"name": f"{ids.marker}.txt", "tags": f"{ids.marker}-tag"}
    return {"params": params, "data": ids.content, "headers": {"Content-Type": "text/plain"}}


def _job_over_documents(ids: Ids) -> Json:
    return {"json": {"source": {"documents": {"ids": [ids.document]}}}}


def _job_by_name(ids: Ids) -> Json:
    inline = {"name": f"{ids.marker}.md", "text": f"{ids.marker} by a stranger"}
    return {"json": {"name": ids.job, "source": {"inline": inline}}}


def _of_job(ids: Ids) -> Json:
    return {"params": {"job": ids.job}}


def _letters(ids: Ids) -> Json:
    return {"json": {"job": ids.job}}


def _search(ids: Ids) -> Json:
    return {"json": {"query": f"{ids.marker} valve opens", "filters": {"documents": [ids.document]}}}


def _search_by_words(ids: Ids) -> Json:
    return {"json": {"query": ids.marker, "filters": {"tags": [f"{ids.marker}-tag"]}}}


def _answer(ids: Ids) -> Json:
    return {"json": {"question": f"When does the {ids.marker} valve open?", "filters": {"documents": [ids.document]}}}


_PUBLIC = (Case(200, public=True),)
_OWN = (Case(200),)
_MISSING = (Case(404),)

CASES: dict[RouteKey, tuple[Case, ...]] = {
    ("GET", "/healthz"): _PUBLIC,
    ("GET", "/readyz"): _PUBLIC,
    ("GET", "/metrics"): _PUBLIC,
    ("GET", "/api/v1/openapi.json"): _PUBLIC,
    ("GET", "/ws"): (Case(400, name="without an upgrade"),),
    ("GET", "/api/v1/tenants/self"): _OWN,
    ("GET", "/api/v1/usage"): _OWN,
    ("POST", "/api/v1/ws-tickets"): (Case(201),),
    ("POST", "/api/v1/documents"): (Case(201, _upload),),
    ("GET", "/api/v1/documents"): _OWN,
    ("GET", "/api/v1/documents/{document_id}"): _MISSING,
    ("DELETE", "/api/v1/documents/{document_id}"): _MISSING,
    ("GET", "/api/v1/documents/{document_id}/content"): _MISSING,
    ("GET", "/api/v1/documents/{document_id}/chunks"): _MISSING,
    ("GET", "/api/v1/documents/{document_id}/versions"): _MISSING,
    ("POST", "/api/v1/ingest-jobs"): (
        Case(404, _job_over_documents, name="over documents"),
        Case(201, _job_by_name, name="by name"),
    ),
    ("GET", "/api/v1/ingest-jobs"): _OWN,
    ("GET", "/api/v1/ingest-jobs/{job_name}"): _MISSING,
    ("DELETE", "/api/v1/ingest-jobs/{job_name}"): _MISSING,
    ("GET", "/api/v1/ingest-jobs/{job_name}/documents"): _MISSING,
    ("POST", "/api/v1/ingest-jobs/{job_name}/approve"): (Case(403),),
    ("POST", "/api/v1/ingest-jobs/{job_name}/cancel"): _MISSING,
    ("POST", "/api/v1/ingest-jobs/{job_name}/retry"): _MISSING,
    ("GET", "/api/v1/dead-letters"): (Case(200), Case(200, _of_job, name="of a job")),
    ("POST", "/api/v1/dead-letters/replay"): (Case(200, _letters),),
    ("POST", "/api/v1/dead-letters/purge"): (Case(200, _letters),),
    ("GET", "/api/v1/tasks/{job_name}"): _MISSING,
    ("POST", "/api/v1/search"): (Case(200, _search, name="by id"), Case(200, _search_by_words, name="by words")),
    ("POST", "/api/v1/answers"): (Case(200, _answer),),
}


def served_routes() -> set[RouteKey]:
    """What the application really answers. HEAD comes with GET."""

    async def never_opened(_stack: object) -> Any:
        raise NotImplementedError

    app = create_app(never_opened)
    routes = ((route.method, route.resource.canonical) for route in app.router.routes() if route.resource is not None)
    return {(method, path) for method, path in routes if method != "HEAD"}


def fill(path: str, ids: Ids) -> str:
    values = {"document_id": ids.document, "job_name": ids.job}
    return re.sub(r"{(\w+)}", lambda match: values[match[1]], path)
