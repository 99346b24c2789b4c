"""Dead letters through the API: listed page by page, replayed into a new job, purged; one tenant's alone."""

from collections.abc import Awaitable
from typing import Any

import pytest

from dreamhub.domain.progress import DocumentError
from dreamhub.sql.ingest import NewRun, RunDocument, finish_run, mark_collected, start_run
from dreamhub.sql.work_items import NewItem, enqueue, settle_item
from tests.integration.api.platform import Caller, Cluster, Tenant, until
from tests.integration.sql.support import connected


async def letters(caller: Caller) -> list[str]:
    """Jobs whose letters are open."""
    return [letter["job"] for letter in (await caller.ok("GET", "/dead-letters"))["items"]]


async def fail(tenant: Tenant, job: str, *documents: dict[str, Any], ghost: bool = True) -> None:
    """A run of which these documents have failed, and one more that never came to be."""
    items = [(document["latestVersion"], document["id"]) for document in documents]
    if ghost:
        items.append((f"ver_{job:0>32}", f"doc_{job:0>32}"))
    async with connected(tenant.database_url) as conn:
        run = (await start_run(conn, NewRun(f"uid-{job}", job, "1.0", "pod"))).run
        await enqueue(conn, run, [NewItem(version, document) for version, document in items])
        for version, document in items:
            error = DocumentError(document=document, error_class="Permanent", reason="Broken", message="it is broken")
            await settle_item(conn, run, version, RunDocument(document, version, "Failed", error=error))
        await mark_collected(conn, run)
        await finish_run(conn, run.uid)


async def test_dead_letters_are_listed_replayed_and_purged(caller: Caller, acme: Tenant) -> None:
    documents = [(await caller.upload(f"{name}.txt", name.encode()))[1] for name in ("one", "two")]
    await fail(acme, "first", *documents)
    await fail(acme, "second", documents[0])

    page = await caller.ok("GET", "/dead-letters", params={"limit": "2"})
    rest = await caller.ok("GET", "/dead-letters", params={"cursor": page["nextCursor"]})
    letters = page["items"] + rest["items"]
    assert [letter["job"] for letter in letters] == ["first"] * 3 + ["second"] * 2
    assert (letters[0]["document"], letters[0]["name"]) == (documents[0]["id"], "one.txt")
    assert letters[2].get("name") is None, "it never came to be"
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
    status, problem = await caller.call("POST", "/dead-letters/purge", json={})
    assert (status, "all: true" in problem["detail"]) == (400, True), "nothing is forgotten for want of a word"
    assert (await caller.ok("POST", "/dead-letters/purge", json={"all": True}))["purged"] >= 2
    assert (await caller.ok("GET", "/dead-letters"))["items"] == []


@pytest.mark.parametrize("end", ["Deleted", "Failed", "Cancelled"])
async def test_a_letter_is_open_again_when_its_replay_ends_without_it(
    caller: Caller, acme: Tenant, cluster: Cluster, end: str
) -> None:
    _, document = await caller.upload("one.txt", b"one")
    await fail(acme, "first", document, ghost=False)
    replay = (await caller.ok("POST", "/dead-letters/replay", json={}))["job"]["name"]
    assert await letters(caller) == [], "its replay is under way"

    if end == "Deleted":
        await caller.call("DELETE", f"/ingest-jobs/{replay}")
    else:
        await cluster.set_job_status(acme.name, replay, {"phase": end, "reason": "WorkerFailed"})
    await until(lambda: _is(letters(caller), ["first"]), "the letter is open again")
    again = await caller.ok("POST", "/dead-letters/replay", json={"job": "first"})
    assert again["replayed"] == 1
    assert again["job"]["name"] != replay

    await fail(acme, again["job"]["name"], document, ghost=False)
    await cluster.set_job_status(acme.name, again["job"]["name"], {"phase": "Failed", "reason": "DocumentsFailed"})
    assert await letters(caller) == [again["job"]["name"]], (
        "the replay has its own letter, which takes the first one's place"
    )


async def test_letters_of_others_are_as_absent_as_unknown_ones(caller: Caller, stranger: Caller, acme: Tenant) -> None:
    _, document = await caller.upload("one.txt", b"one")
    await fail(acme, "first", document, ghost=False)
    assert await letters(stranger) == []
    for version in (document["latestVersion"], f"ver_{'0' * 32}"):
        unknown = {"versions": [version]}
        replay = await stranger.ok("POST", "/dead-letters/replay", json=unknown)
        assert (replay["replayed"], replay.get("job")) == (0, None)
        assert (await stranger.ok("POST", "/dead-letters/purge", json=unknown))["purged"] == 0
    wrong: list[dict[str, Any]] = [{"versions": ["none"]}, {"versions": []}, {"job": "No Name"}]
    for choice in wrong:
        assert (await stranger.call("POST", "/dead-letters/purge", json=choice))[0] == 400
    assert await letters(caller) == ["first"]


async def _is(found: Awaitable[object], wanted: object) -> bool:
    return await found == wanted
