"""The hot queries, explained: the indexes that they were written for, the tenant's tables alone, no row security."""

import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from dreamhub.domain.terms import TermIndex, TermStatistics, weigh_query
from dreamhub.sql.connections import Connection, Pool
from dreamhub.sql.pool import tenant_transaction
from dreamhub.sql.queries import load_queries
from tests.integration.conftest import Database, NewTenant, TenantLogin
from tests.integration.sql.support import File, connected, embed, ingest

FILES = 20
CHUNKS = 200


@pytest_asyncio.fixture(scope="module")
async def filled(database: Database, new_tenant: NewTenant) -> TenantLogin:
    login = await new_tenant()
    rng = np.random.default_rng(7)
    async with connected(login.url) as conn:
        for number in range(FILES):
            texts = [" ".join(f"w{word}" for word in rng.zipf(1.3, 40) % 3_000) for _ in range(CHUNKS)]
            await ingest(conn, login.keys, File(f"{number}.md", tuple(texts), tags=(f"tag{number}",)))
    async with connected(database.url("dreamhub_owner")) as conn:
        for table in ("documents", "document_versions", "chunks", "term_counts", "ingest_run_documents", "work_items"):
            await conn.execute(f'ANALYZE "t_{login.tenant}".{table}')
        # As autovacuum does after a load: until then the planner may count the pending list and take a scan.
        await conn.execute(f"SELECT gin_clean_pending_list('\"t_{login.tenant}\".chunks_terms_idx')")
    return login


@pytest_asyncio.fixture
async def conn(filled: TenantLogin, api_pool: Pool) -> AsyncIterator[Connection]:
    async with tenant_transaction(api_pool, filled.tenant) as connection:
        yield connection


async def explain(conn: Connection, file: str, name: str, *arguments: object) -> list[dict[str, Any]]:
    """All plan nodes. Of a search: as one without a vector index."""
    sql = load_queries(file)[name].replace("{vector}", "embedding").replace("{type}", "halfvec")
    reply = await conn.fetchval(f"EXPLAIN (FORMAT JSON) {sql}", *arguments)
    nodes: list[dict[str, Any]] = []

    def walk(node: dict[str, Any]) -> None:
        nodes.append(node)
        for child in node.get("Plans", ()):
            walk(child)

    walk(json.loads(reply)[0]["Plan"])
    return nodes


def relations(nodes: list[dict[str, Any]]) -> set[str]:
    return {node["Relation Name"] for node in nodes if "Relation Name" in node}


def scans(nodes: list[dict[str, Any]], kind: str) -> list[str]:
    return [node.get("Relation Name", node.get("Index Name", "")) for node in nodes if node["Node Type"] == kind]


def search_arguments(login: TenantLogin, *filters: object) -> list[object]:
    terms = TermIndex(login.keys).query("w2900 w2901")
    weighed = weigh_query(terms, TermStatistics(1_000, dict.fromkeys(terms, 3)))
    chosen = filters or (None, None, None, None, None)
    return [embed("q"), weighed.vector, weighed.rarest, 50, 1, bool(filters), *chosen]


async def test_search_reads_terms_by_gin_and_vectors_once(conn: Connection, filled: TenantLogin) -> None:
    nodes = await explain(conn, "search", "search_candidates", *search_arguments(filled))
    assert "chunks_terms_idx" in scans(nodes, "Bitmap Index Scan")
    assert scans(nodes, "Seq Scan").count("chunks") == 1, "the exact vector scan, and nothing else"
    assert relations(nodes) <= {"chunks", "document_versions"}, "no filter, no documents"


async def test_search_leaves_landings_out_by_a_tiny_index(conn: Connection, filled: TenantLogin) -> None:
    await conn.execute("SET LOCAL enable_seqscan = off")
    nodes = await explain(conn, "search", "search_candidates", *search_arguments(filled))
    assert "document_versions_landing_idx" in {node.get("Index Name") for node in nodes}
    plans = [node for node in nodes if node.get("Parent Relationship") == "InitPlan"]
    assert plans, "the landings are read once, before the scans"
    assert not any(node["Node Type"] == "Hash Join" and "SubPlan" in str(node.get("Join Type")) for node in nodes)


async def test_filtered_search_reads_only_the_documents_chunks(conn: Connection, filled: TenantLogin) -> None:
    keys = [filled.keys.blind("tag", b"tag3")]
    until = datetime(2999, 1, 1, tzinfo=UTC)
    await conn.execute("SET LOCAL enable_seqscan = off")
    nodes = await explain(conn, "search", "search_candidates", *search_arguments(filled, keys, None, None, None, until))
    assert relations(nodes) == {"chunks", "document_versions", "documents"}
    assert not scans(nodes, "Seq Scan")


@pytest.mark.parametrize(
    ("file", "name", "arguments"),
    [
        ("search", "fetch_statistics", ([1, 2, 3],)),
        ("search", "fetch_hits", ([], [])),
        ("index", "fetch_active_generation", ()),
        ("documents", "fetch_document", ("doc_x",)),
        ("documents", "list_documents", (None, 50)),
        ("documents", "list_documents", ("doc_x", 50)),
        ("documents", "list_versions", ("doc_x",)),
        ("documents", "list_chunks", (None, 0, 50)),
        ("documents", "lock_document_by_name", (b"x",)),
        ("documents", "delete_chunks", ([],)),
        ("landing", "advance_checkpoint", ("ver_x", 1, None, 0, 1)),
        ("landing", "lock_version", ("ver_x",)),
        ("ingest", "save_progress", ("uid", "{}", False)),
        ("ingest", "save_report", ("uid", 0, 1, "{}")),
        ("ingest", "fetch_open_count", ("uid",)),
        ("work_items", "begin_item", ("uid", "ver_x", 0, False)),
        ("work_items", "list_open_items", ("uid", 0, 50)),
        ("work_items", "list_free_items", ("uid", 0, 50, 0, 4.0)),
        ("work_items", "fetch_errors", ("uid", 10)),
        ("runs", "list_run_documents", ("uid", None, 50, None, None)),
        ("runs", "list_open_documents", ("uid", None, 50, None)),
    ],
)
async def test_every_look_up_has_its_index(conn: Connection, file: str, name: str, arguments: tuple[object]) -> None:
    await conn.execute("SET LOCAL enable_seqscan = off")
    nodes = await explain(conn, file, name, *arguments)
    assert not scans(nodes, "Seq Scan")
    assert not any("Append" in node["Node Type"] for node in nodes), "one partition, never the parent"


async def test_plans_name_the_tenants_schema_alone(conn: Connection, filled: TenantLogin) -> None:
    sql = load_queries("search")["search_candidates"].format(vector="embedding", type="halfvec")
    reply = await conn.fetchval(f"EXPLAIN (VERBOSE, FORMAT JSON) {sql}", *search_arguments(filled))
    assert set(re.findall(r'"Schema": "([^"]+)"', reply)) == {f"t_{filled.tenant}"}
    assert "current_setting" not in reply, "row security stands on parents and is not in the way here"
