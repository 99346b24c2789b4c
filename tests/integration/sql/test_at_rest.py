"""A stolen dump reads no word of a tenant."""

import gzip
import zlib
from itertools import chain

from dreamhub.domain.progress import DocumentError
from dreamhub.sql.connections import Connection
from dreamhub.sql.documents import list_chunks, list_documents
from dreamhub.sql.ingest import NewRun, RunDocument, start_run
from dreamhub.sql.work_items import NewItem, enqueue, settle_item
from tests.integration.conftest import Database, TenantLogin
from tests.integration.sql.support import File, ingest

FILE = File(
    name="Quarkstrudel-Bericht.md",
    texts=("Der Xylophonbauer probt heute.", "量子香蕉在图书馆。", "The zymurgist's plumbus broke."),
    tags=("Geheimprojekt",),
    title="Flugschneckenzucht",
    headings=("Kapitel Wolpertinger", "Absatz Elwetritsch"),
)
PLANTED = (
    "Quarkstrudel",
    "Bericht",
    "Xylophonbauer",
    "probt",
    "量子香蕉",
    "图书馆",
    "zymurgist",
    "plumbus",
    "Geheimprojekt",
    "Flugschneckenzucht",
    "Wolpertinger",
    "Elwetritsch",
)


def forms(word: str) -> set[bytes]:
    """A word as it could lie in a text dump or on a page."""
    texts = {word, word.lower(), word.casefold()[:6]}
    return set(
        chain.from_iterable((text.encode(), text.encode().hex().encode(), text.encode("utf-16-le")) for text in texts)
    )


async def test_dump_and_raw_pages_show_no_word(
    database: Database, tenant: TenantLogin, tenant_connection: Connection
) -> None:
    outcome = await ingest(tenant_connection, tenant.keys, FILE)
    run = (await start_run(tenant_connection, NewRun("uid-1", "job", "1.0", "pod", 1))).run
    await enqueue(tenant_connection, run, [NewItem(outcome.version_id, outcome.document_id)])
    error = DocumentError(document=outcome.document_id, error_class="Permanent", reason="X", message="no content")
    document = RunDocument(outcome.document_id, outcome.version_id, "Failed", error=error)
    await settle_item(tenant_connection, run, outcome.version_id, document)

    dump = database.server.run("pg_dump", "--schema", f'"t_{tenant.tenant}"').encode()
    columns = database.server.run("pg_dump", "--inserts", "--schema", f'"t_{tenant.tenant}"').encode()
    assert outcome.document_id.encode() in dump, "the dump holds the tenant's rows"
    database.server.run("psql", "-c", "CHECKPOINT")
    files = database.server.run("psql", "-At", "-c", f"SELECT pg_relation_filepath(c.oid) {_relations(tenant)}").split()
    data = database.server.directory / "data"
    pages = b"".join((data / file).read_bytes() for file in files)
    assert outcome.document_id.encode() in pages, "the files hold the tenant's rows"
    wal = b"".join(path.read_bytes() for path in (data / "pg_wal").glob("0*"))
    assert outcome.document_id.encode() in wal, "the log holds the tenant's rows"
    for word in PLANTED:
        for form in forms(word):
            for place, content in (("dump", dump), ("inserts", columns), ("pages", pages), ("wal", wal)):
                assert form not in content, f"{word!r} lies in the {place}"


def _relations(tenant: TenantLogin) -> str:
    own = f"(SELECT oid FROM pg_class WHERE relnamespace = '\"t_{tenant.tenant}\"'::regnamespace)"
    toast = f"(SELECT reltoastrelid FROM pg_class WHERE oid IN {own})"
    return f"FROM pg_class c WHERE relkind IN ('r', 't', 'i') AND (oid IN {own} OR oid IN {toast})"


async def test_the_key_reads_all_of_it(tenant: TenantLogin, tenant_connection: Connection) -> None:
    """So that the test above cannot pass because nothing was stored."""
    outcome = await ingest(tenant_connection, tenant.keys, FILE)
    document = (await list_documents(tenant_connection, tenant.keys)).items[0]
    chunks = (await list_chunks(tenant_connection, tenant.keys, outcome.document_id)).items
    text = " ".join((document.name, *document.tags, *(chunk.text for chunk in chunks), chunks[0].title))
    text += " ".join(chunks[0].heading_path)
    assert all(word in text for word in PLANTED)


async def test_same_words_of_two_tenants_share_no_number(tenant: TenantLogin, tenant_connection: Connection) -> None:
    await ingest(tenant_connection, tenant.keys, FILE)
    sizes = await tenant_connection.fetch("SELECT body_ct FROM chunks")
    for row in sizes:
        assert len(zlib.compress(row["body_ct"])) >= len(row["body_ct"]), "ciphertext does not compress"
        assert len(gzip.compress(row["body_ct"])) >= len(row["body_ct"])
