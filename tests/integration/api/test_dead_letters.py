"""Dead letters through the API: listed page by page, replayed into a new job, purged; one tenant's alone."""

from typing import Any

from dreamhub.domain.progress import DocumentError
from dreamhub.sql.ingest import NewRun, RunDocument, finish_run, mark_collected, start_run
from dreamhub.sql.work_items import NewItem, enqueue, settle_item
from tests.integration.api.platform import Caller, Tenant
from tests.integration.sql.support import connected


async def fail(tenant: Tenant, job: str, *documents: dict[str, Any]) -> None:
    """A run of which these documents have failed, and one more that never came to be."""
    items = [(document["latestVersion"], document["id"]) for document in documents]
    items.append((f"ver_{job:0>32}", f"doc_{job:0>32}"))
    async with connected(tenant.database_url) as conn:
        run = (await start_run(conn, NewRun(f"uid-{job}", job, "1.0", "pod"))).run
        await enqueue(conn, run, [NewItem(version, document) for version, document in items])
        for version, document in items:
            error = DocumentError(document=document, error_class="Permanent", reason="Broken", message="it is broken")
            await settle_item(conn, run, version, RunDocument(document, version, "Failed", error=error))
        await mark_collected(conn, run.uid)
        await finish_run(conn, run.uid)


async def test_dead_letters_are_listed_replayed_and_purged(caller: Caller, acme: Tenant) -> None:
    documents = [(await caller.upload(f"{name}.txt", name.encode()))[1] for name in ("one", "two")]
    await fail(acme, "first", *documents)
    await fail(acme, "second", documents[0])

    page = await caller.ok("GET", "/dead-letters", params={"limit": "2"})
    rest = await caller.ok("GET", "/dead-letters", params={"cursor": page["nextCursor"]})
    letters = page["items"] + rest["items"]
    assert [letter["job"] for letter in letters] == ["first"] * 3 + ["second"] * 2
    assert letters[0]["document"] == documents[0]["id"]
    assert (letters[0]["class"], letters[0]["reason"], letters[0]["attempts"]) == ("Permanent", "Broken", 0)
    assert (await caller.call("GET", "/dead-letters", params={"cursor": "x"}))[0] == 400

    replay = await caller.ok("POST", "/dead-letters/replay", json={"job": "first"})
    assert (replay["replayed"], replay["left"]) == (2, False)
    assert replay["job"]["source"]["documents"]["ids"] == [document["id"] for document in documents]
    left = (await caller.ok("GET", "/dead-letters", params={"job": "first"}))["items"]
    assert [letter["version"] for letter in left] == [f"ver_{'first':0>32}"], "there is no document to replay"
    again = await caller.ok("POST", "/dead-letters/replay", json={"job": "first"})
    assert (again["replayed"], again.get("job")) == (0, None)

    version = documents[0]["latestVersion"]
    choice = {"versions": [version], "job": "second"}
    assert (await caller.ok("POST", "/dead-letters/purge", json=choice))["purged"] == 1
    assert len((await caller.ok("GET", "/dead-letters"))["items"]) == 2
    assert (await caller.ok("POST", "/dead-letters/purge", json={}))["purged"] >= 2
    assert (await caller.ok("GET", "/dead-letters"))["items"] == []
