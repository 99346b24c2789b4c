"""The tour of the API lists every route of the server, and no other."""

import re

from dreamhub_api.dispatch import API_PREFIX
from dreamhub_api.routes import ROUTES
from tests.unit.repo.tree import ROOT

ROUTE = re.compile(rf"`(GET|POST|PUT|PATCH|DELETE) {API_PREFIX}(/[^`?]*)")


def anonymous(path: str) -> str:
    """The path with its parameters' names left out."""
    return re.sub(r"\{\w+\}", "{}", path)


def test_routes_are_documented() -> None:
    page = (ROOT / "docs/user/api.md").read_text()
    documented = {(method, anonymous(path)) for method, path in ROUTE.findall(page)}
    served = {(route.method, anonymous(route.path)) for route in ROUTES}
    assert documented - {("GET", "/openapi.json")} == served
