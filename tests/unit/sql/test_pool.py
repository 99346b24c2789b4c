from dataclasses import replace

import pytest

from dreamhub.sql.pool import ServerFacts, find_fault

GOOD = ServerFacts(180006, "0.8.6", "dreamhub_api", superuser=False, bypasses_row_security=False, unguarded_tables=())


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (replace(GOOD, superuser=True), "sees past row security"),
        (replace(GOOD, bypasses_row_security=True), "sees past row security"),
        (replace(GOOD, owns_objects=True), "REASSIGN OWNED BY"),
        (replace(GOOD, reads_content=True), "revoke that grant or membership"),
        (replace(GOOD, version=150014), "PostgreSQL 15.14 has known faults"),
        (replace(GOOD, version=160009), "PostgreSQL 16.9 has known faults"),
        (replace(GOOD, version=170005), "PostgreSQL 17.5 has known faults"),
        (replace(GOOD, pgvector=None), "bootstrap.sql"),
        (replace(GOOD, pgvector="0.8.3"), "0.8.4 or later"),
        (replace(GOOD, pgvector="0.7.10"), "0.8.4 or later"),
        (replace(GOOD, unguarded_tables=("chunks", "documents")), "not forced on chunks, documents"),
    ],
)
def test_unsafe_servers_are_refused(facts: ServerFacts, words: str) -> None:
    fault = find_fault(facts)
    assert fault is not None
    assert words in fault


@pytest.mark.parametrize("version", [160010, 170006, 180000, 190001])
@pytest.mark.parametrize("pgvector", ["0.8.4", "0.9.0", "1.0"])
def test_safe_servers_pass(version: int, pgvector: str) -> None:
    assert find_fault(replace(GOOD, version=version, pgvector=pgvector)) is None
