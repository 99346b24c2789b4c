"""SQL files as artefacts: complete, used, and never naming a tenant's schema."""

import re
from pathlib import Path

import pytest

import dreamhub.sql
from dreamhub.errors import BugError
from dreamhub.sql.queries import load_queries, parse_blocks

FOLDER = Path(dreamhub.sql.__path__[0])
FILES = sorted(path.stem for path in (FOLDER / "queries").glob("*.sql"))
QUALIFIED = {
    *("schema", "tenants", "logins", "owners", "audit", "pool", "plans", "runs", "reservations"),
    *("fair_books", "vectors"),
}
"""What the operator, the migrator and the guard run: they are no tenant."""


def test_blocks_are_parsed() -> None:
    text = "-- header\n-- name: one\nSELECT 1\n\n-- name: two\n-- why\nSELECT 2\n"
    assert parse_blocks(text) == {"one": "SELECT 1", "two": "-- why\nSELECT 2"}
    with pytest.raises(BugError, match="one name"):
        parse_blocks("-- name: a\nSELECT 1\n-- name: a\nSELECT 2\n")


@pytest.mark.parametrize("file", FILES)
def test_every_block_is_used(file: str) -> None:
    source = "".join(path.read_text() for path in FOLDER.glob("*.py"))
    assert [name for name in load_queries(file) if not re.search(rf"""["']{name}["']""", source)] == []


@pytest.mark.parametrize("file", sorted(set(FILES) - QUALIFIED))
def test_tenant_queries_name_no_schema(file: str) -> None:
    for name, sql in load_queries(file).items():
        assert re.search(r"\b(dreamhub|t_\w+)\.|tenant_id\s*=", sql) is None, name


@pytest.mark.parametrize("file", FILES)
def test_lines_fit(file: str) -> None:
    lines = (FOLDER / "queries" / f"{file}.sql").read_text().splitlines()
    assert max(map(len, lines)) <= 120
