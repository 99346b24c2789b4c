"""The table of routes, the router and the OpenAPI document are one."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from dreamhub_api.app import create_app
from dreamhub_api.dispatch import API_PREFIX, parse_body
from dreamhub_api.openapi import build_document
from dreamhub_api.problems import InvalidBodyError
from dreamhub_api.routes import ROUTES
from dreamhub_client.models import IngestJobCreate

DOCUMENT = build_document(ROUTES)
RBAC = Path(__file__).parents[3] / "api-server" / "rbac.yaml"


async def _never(_stack: object) -> Any:
    raise AssertionError("nothing is opened before start-up")


def test_router_serves_exactly_the_table() -> None:
    app = create_app(_never)
    served = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.resource.canonical.startswith(API_PREFIX)
    }
    table = {(route.method, API_PREFIX + route.path) for route in ROUTES}
    assert served == table | {("GET", "/api/v1/openapi.json"), ("HEAD", "/api/v1/openapi.json")}


def test_document_describes_exactly_the_table() -> None:
    described = {(method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item}
    assert described == {(route.method, API_PREFIX + route.path) for route in ROUTES}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_each_operation_is_complete(route: Any) -> None:
    operation = DOCUMENT["paths"][API_PREFIX + route.path][route.method.lower()]
    assert operation["summary"].endswith((".", "`."))
    assert {str(status) for status in route.outcomes} | {"default"} == set(operation["responses"])
    assert ("requestBody" in operation) == (route.body_kind != "none")
    in_path = {item["name"] for item in operation["parameters"] if item["in"] == "path"}
    assert in_path == set(re.findall(r"{(\w+)}", route.path))
    expected = "read" if route.method == "GET" or route.path in _READING_POSTS else "write"
    assert route.scope == ("approve" if route.path.endswith("/approve") else expected)


_READING_POSTS = {"/search", "/answers", "/ws-tickets"}


def test_operation_ids_are_unique() -> None:
    assert len({route.name for route in ROUTES}) == len(ROUTES)


def test_every_reference_leads_somewhere() -> None:
    text = json.dumps(DOCUMENT)
    for name in re.findall(r'"#/components/schemas/([^"]+)"', text):
        assert name in DOCUMENT["components"]["schemas"]


def test_wire_names_are_camel_case() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        assert all("_" not in name for name in schema.get("properties", {}))


def test_source_is_exactly_one() -> None:
    def accepts(source: object) -> bool:
        try:
            parse_body(IngestJobCreate, json.dumps({"source": source}).encode())
        except InvalidBodyError:
            return False
        return True

    documents, inline = {"ids": ["doc_" + "0" * 32]}, {"name": "a", "text": "b"}
    assert accepts({"documents": documents})
    assert accepts({"inline": inline, "documents": None})
    assert not accepts({"documents": documents, "inline": inline})
    assert not accepts({})
    assert not accepts({"documents": {"ids": []}})
    assert not accepts({"web": {}})


def test_role_is_the_least_that_works() -> None:
    """The integration tests run with this very role: what is missing fails there, what is too much fails here."""
    roles = {role["kind"]: role["rules"] for role in yaml.safe_load_all(RBAC.read_text())}
    granted = {(rule["resources"][0], verb) for rule in roles["ClusterRole"] for verb in rule["verbs"]}
    assert granted == {
        ("tokenreviews", "create"),
        *(("tenants", verb) for verb in ("get", "list", "watch")),
        *(
            ("ingestjobs", verb)
            for verb in ("get", "list", "watch", "create", "patch", "delete", "approve", "approve-as")
        ),
    }
    (secrets,) = roles["Role"]
    assert (secrets["resourceNames"], secrets["verbs"]) == (
        ["dreamhub-tenant-keys", "dreamhub-master-keys"],
        ["get", "watch"],
    )
