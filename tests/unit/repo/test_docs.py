"""The documentation holds: links lead somewhere, modules that one is told to run exist, named fields are real."""

import importlib.util
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from dreamhub_client import messages, models
from hack.checks.docs import Page, read_pages, slug
from tests.unit.repo.tree import ROOT

PAGES = tuple(read_pages(ROOT))
FIELD = re.compile(r"(spec|status)(\.[a-z][A-Za-z]*(\[\])?)+")


def by_path(page: Page) -> str:
    return str(page.path.relative_to(ROOT))


@cache
def schemas() -> tuple[dict[str, Any], ...]:
    documents = (yaml.safe_load(path.read_text()) for path in sorted((ROOT / "crds").glob("*.yaml")))
    return tuple(
        version["schema"]["openAPIV3Schema"] for document in documents for version in document["spec"]["versions"]
    )


def has_field(schema: dict[str, Any], path: list[str]) -> bool:
    """Whether a structural schema knows a field, looking through lists and free-form maps."""
    if not path:
        return True
    if "items" in schema:
        return has_field(schema["items"], path)
    if isinstance(schema.get("additionalProperties"), dict):
        return has_field(schema["additionalProperties"], path[1:])
    if path[0] not in schema.get("properties", {}):
        return bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    return has_field(schema["properties"][path[0]], path[1:])


def broken_links(page: Page) -> Iterator[str]:
    for link in page.links():
        file, _, anchor = link.partition("#")
        target = (page.path.parent / file).resolve() if file else page.path
        if not target.exists() or (anchor and anchor not in Page(target, target.read_text()).anchors()):
            yield link


@pytest.mark.parametrize("page", PAGES, ids=by_path)
def test_links_resolve(page: Page) -> None:
    assert list(broken_links(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=by_path)
def test_named_fields_exist(page: Page) -> None:
    named = [code for code in page.code() if FIELD.fullmatch(code)]
    unknown = [
        name for name in named if not any(has_field(schema, name.replace("[]", "").split(".")) for schema in schemas())
    ]
    assert unknown == []


@pytest.mark.parametrize("page", PAGES, ids=by_path)
def test_modules_that_one_is_told_to_run_exist(page: Page) -> None:
    run = [match[1] for command in page.commands() for match in re.finditer(r"python3? -m ([\w.]+)", command)]
    assert [module for module in run if importlib.util.find_spec(module) is None] == []


def test_decisions_are_numbered_once_and_listed() -> None:
    folder = ROOT / "docs/adr"
    records = sorted(path for path in folder.glob("*.md") if path.name != "README.md")
    numbers = [int(path.name[:4]) for path in records]
    assert numbers == list(range(1, len(records) + 1))
    assert [path.name for path in records if not path.read_text().startswith(f"# {path.name[:4]} ")] == []
    listed = re.findall(r"^\| \[(\d{4})\]\((\d{4}-.*\.md)\)", (folder / "README.md").read_text(), re.MULTILINE)
    assert listed == [(path.name[:4], path.name) for path in records]


def test_every_page_is_reachable_from_the_readme() -> None:
    """A page that nothing links to is a page that nobody reads, or corrects."""
    pages = {page.path: page for page in PAGES}
    open_paths, seen = [ROOT / "README.md"], set[Path]()
    while open_paths:
        path = open_paths.pop()
        if path not in seen and path in pages:
            seen.add(path)
            open_paths += [(path.parent / link.partition("#")[0]).resolve() for link in pages[path].links()]
    lost = {by_path(page) for page in PAGES if page.path.is_relative_to(ROOT / "docs")} - {
        str(path.relative_to(ROOT)) for path in seen
    }
    assert lost == set()


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [("What it is", "what-it-is"), ("`make demo`, twice", "make-demo-twice"), ("REST & WebSocket", "rest--websocket")],
)
def test_anchors_are_those_of_github(heading: str, anchor: str) -> None:
    assert slug(heading) == anchor


def wire_model(name: str) -> type[BaseModel]:
    found = getattr(models, name, None) or getattr(messages, name)
    assert isinstance(found, type)
    assert issubclass(found, BaseModel)
    return found


@pytest.mark.parametrize("page", PAGES, ids=by_path)
def test_json_examples_are_what_the_api_takes_and_gives(page: Page) -> None:
    for name, body in page.examples("json"):
        assert name, f"say behind ```json which class of dreamhub_client this is an example of: {body}"
        model = wire_model(name)
        model.model_validate_json(body)
        known = {field.alias for field in model.model_fields.values()}
        assert set(json.loads(body)) <= known


@cache
def source_text() -> str:
    """Everything that may read a setting: code, images, chart."""
    folders = ("core", "operator", "api-server", "worker", "client", "cli", "hack", "charts", "migrations")
    files = [
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".yaml", ".sql", ".tpl"}
    ]
    return "\n".join(path.read_text() for path in [*files, ROOT / "Dockerfile", ROOT / "Makefile"])


@pytest.mark.parametrize("page", PAGES, ids=by_path)
def test_named_settings_exist(page: Page) -> None:
    named = set(re.findall(r"\bDREAMHUB_[A-Z0-9_]+\b", page.text))
    assert {name for name in named if name not in source_text()} == set()
