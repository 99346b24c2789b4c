"""Sources, from a reader's first word to searchable documents, in a real worker beside a real object store."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from dreamhub import names
from dreamhub.domain.job_input import InputSource, OpenNetwork
from dreamhub.domain.progress import Progress
from dreamhub.sql.bodies import open_name
from dreamhub.sql.connections import Pool
from dreamhub.sql.document_names import fetch_names
from dreamhub.sql.documents import Document, delete_document, list_documents
from dreamhub.sql.runs import list_run_documents
from dreamhub.storage.objects import ObjectStore, ObjectStoreSettings
from tests.integration.links import LinkServer, run_links
from tests.integration.worker.scripted import NAME, Script
from tests.integration.worker.support import Mount, Rig, spawn

FOLDER = {"handbook/a.md": b"# A\n\nThe first page.", "handbook/deep/b.md": b"# B\n\nThe second page."}


def found(key: str, text: str, **more: Any) -> dict[str, Any]:
    return {"is": "found", "key": key, "text": text, "revision": f"{len(text)}", **more}


CHECKPOINT, COMPLETE = {"is": "checkpoint"}, {"is": "complete", "always": True}


@dataclass
class Bench:
    """A tenant whose worker reads sources."""

    rig: Rig
    server: LinkServer
    store: ObjectStore
    script: Script

    @property
    def store_settings(self) -> ObjectStoreSettings:
        return self.store._settings

    def mount(self, source: InputSource, **fields: Any) -> Mount:
        mount = self.rig.mount(source=source, links=self.server.links(self.rig.tenant.tenant, "x"), **fields)
        return self._renew(mount)

    def _renew(self, mount: Mount) -> Mount:
        """The token names the run, whose UID the mount has just made."""
        job = mount.job.model_copy(update={"links": self.server.links(mount.job.tenant, mount.job.uid)})
        Path(mount.environment["DREAMHUB_JOB_DIR"], "job.json").write_text(job.model_dump_json(by_alias=True))
        return replace(mount, job=job)

    def scripted(self, **fields: Any) -> Mount:
        config = {"folder": str(self.script.folder)}
        return self.mount(InputSource(kind="plugin", reader=NAME, config=config, identity="scripted"), **fields)

    async def read(self, *events: dict[str, Any], **fields: Any) -> Progress:
        """Let a job read this to its end."""
        self.script.tell(*events)
        return await self.run(self.scripted(**fields))

    async def run(self, mount: Mount) -> Progress:
        assert await self.rig.run(mount) == 0
        return await self.rig.progress(mount)

    async def tell(self, mount: Mount) -> list[tuple[str, str | None, str | None]]:
        """What a person is told of each item: outcome, name and reason."""
        uid, keys = mount.job.uid, self.rig.tenant.keys
        async with self.rig.pool.acquire() as conn:
            items = (await list_run_documents(conn, uid, limit=200)).items
            called = await fetch_names(conn, keys, [item.document_id for item in items])
        named = {
            item.document_id: open_name(keys, uid, item.document_id, item.name_ct) for item in items if item.name_ct
        }
        told = {**named, **called}
        return sorted(
            (item.outcome, told.get(item.document_id), item.error.reason if item.error else None) for item in items
        )

    async def documents(self) -> dict[str, Document]:
        async with self.rig.pool.acquire() as conn:
            page = await list_documents(conn, self.rig.tenant.keys, limit=200)
        return {document.name: document for document in page.items}

    async def searchable(self) -> set[str]:
        return {name for name, document in (await self.documents()).items() if document.active_version_id}

    async def put_folder(self, objects: dict[str, bytes]) -> None:
        for key, data in objects.items():
            await self.store.put(names.import_folder(self.rig.tenant.tenant) + key, data)


@pytest_asyncio.fixture
async def bench(
    rig: Rig,
    api_pool: Pool,
    object_store: ObjectStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Bench]:
    folder = tmp_path / "plugins"
    folder.mkdir()
    script = Script(folder)
    monkeypatch.syspath_prepend(script.install())
    async with run_links(api_pool, {rig.tenant.tenant: rig.tenant.keys}, object_store) as server:
        yield Bench(rig, server, object_store, script)


async def test_what_is_found_becomes_searchable(bench: Bench) -> None:
    told = await bench.read(
        found("1", "Text of one."), found("2", "Text of two.", tags=["wiki"], file=True), CHECKPOINT, tags=("t",)
    )
    assert (told.state, told.documents.total, told.documents.done) == ("Succeeded", 2, 2)
    documents = await bench.documents()
    assert {name: document.tags for name, document in documents.items()} == {"1.txt": ("t",), "2.txt": ("t", "wiki")}
    assert {document.source for document in documents.values()} == {"plugin"}
    version = documents["2.txt"].active_version_id
    assert version is not None
    stored = [piece async for piece in bench.store.get_stream(names.object_key(bench.rig.tenant.tenant, version))]
    assert b"".join(stored) == b"Text of two."


async def test_a_second_reading_fetches_only_what_changed(bench: Bench) -> None:
    first = [found("1", "Text of one."), found("2", "Text of two."), found("3", "Text of three.")]
    await bench.read(*first, COMPLETE)
    before = await bench.documents()
    renamed = found("2", "Another text of two.", name="two.txt")
    told = await bench.read(first[0], renamed, {"is": "same", "key": "3"}, COMPLETE)
    assert bench.script.fetched() == ["2"]
    assert (told.documents.total, told.documents.done, told.documents.skipped) == (3, 3, 2)
    after = await bench.documents()
    assert {name: after[name].latest.number for name in after} == {"1.txt": 1, "two.txt": 2, "3.txt": 1}
    assert after["1.txt"] == before["1.txt"]
    assert (after["two.txt"].id, after["two.txt"].tags) == (before["2.txt"].id, before["2.txt"].tags)
    assert await bench.searchable() == set(after)


async def test_without_a_revision_the_content_decides(bench: Bench) -> None:
    await bench.read(found("1", "Text of one.", revision=""))
    told = await bench.read(found("1", "Text of one.", revision=""))
    assert bench.script.fetched() == ["1"]
    assert (told.documents.skipped, told.tokens) == (1, 0)
    assert (await bench.documents())["1.txt"].latest.number == 1


async def test_two_items_of_one_name_are_two_documents(bench: Bench) -> None:
    await bench.read(found("a/readme", "Of a.", name="readme.md"), found("b/readme", "Of b.", name="readme.md"))
    assert await bench.rig.count("SELECT count(*) FROM documents") == 2
    assert await bench.rig.count("SELECT count(*) FROM document_versions WHERE state = 'active'") == 2


async def test_deletions_upstream_are_found_in_both_ways(bench: Bench) -> None:
    every = [found(str(number), f"Text of {number}.") for number in range(4)]
    await bench.read(*every, COMPLETE)
    await bench.read({"is": "gone", "key": "0"}, {"is": "gone", "key": "unknown"})
    assert await bench.searchable() == {"1.txt", "2.txt", "3.txt"}
    await bench.read(every[1], {"is": "skipped", "key": "2"}, COMPLETE)
    assert await bench.searchable() == {"1.txt", "2.txt"}
    assert await bench.rig.count("SELECT count(*) FROM chunks") == 2
    assert await bench.rig.count("SELECT count(*) FROM source_items") == 2


async def test_what_is_not_read_or_is_deleted_is_told_by_name(bench: Bench) -> None:
    """Beside the documents: none of it is among what the run has to do, and all of it is told once."""
    keep, broken, lost = found("1", "Text of one."), found("2", "MZ" + "\0" * 90), found("3", "Text of three.")
    first = await bench.read(keep, found("4", "{", type="application/json"), lost, COMPLETE)
    assert (first.documents.done, first.documents.failed, first.documents.unread) == (2, 1, 0)
    skipped = {"is": "skipped", "key": "5"}
    again = found("4", "{", type="application/json")
    bench.script.tell(keep, broken, again, skipped, CHECKPOINT, skipped, COMPLETE)
    mount = bench.scripted()
    counts = (await bench.run(mount)).documents
    assert (counts.total, counts.done, counts.skipped, counts.failed) == (2, 1, 1, 1)
    assert (counts.unread, counts.deleted) == (2, 1)
    assert await bench.tell(mount) == [
        ("Deleted", "3.txt", None),
        ("Failed", "2.txt", "ExecutableFile"),
        ("Unread", "4.txt", "BadJSON"),
        ("Unread", "page 5", "RobotsDisallowed"),
    ]


async def test_an_error_of_the_source_is_told_as_its_own(bench: Bench) -> None:
    bench.script.tell(found("1", "Text of one."), CHECKPOINT, {"is": "refused"})
    mount = bench.scripted()
    [error] = (await bench.run(mount)).errors
    assert (error.reason, error.document_id) == ("LoginRefused", None), "there is nothing that an id would lead to"
    assert await bench.tell(mount) == [("Done", "1.txt", None), ("Failed", None, "LoginRefused")]


async def test_a_reader_that_told_changes_may_list_all_again(bench: Bench) -> None:
    one, two, three = (found(str(number), f"Text of {number}.") for number in (1, 2, 3))
    await bench.read(one, COMPLETE)
    await bench.read(two)
    await bench.read({"is": "begin"}, one, three, COMPLETE)
    assert await bench.searchable() == {"1.txt", "3.txt"}


async def test_what_is_deleted_while_it_is_ingested_ends_nothing(bench: Bench) -> None:
    keys = [str(number) for number in range(8)]
    told = await bench.read(
        *(found(key, f"Text of {key}. " * 400) for key in keys), *({"is": "gone", "key": key} for key in keys[1:])
    )
    assert await bench.searchable() == {"0.txt"}
    assert told.documents.total == 8
    assert {error.reason for error in told.errors} <= {"DocumentDeleted", "DocumentNotFound"}


async def test_what_was_not_told_before_the_end_was_reached_stays(bench: Bench) -> None:
    """A reading that ends without Complete, or in an error, proves nothing of what it did not tell."""
    await bench.read(found("1", "Text of one."), found("2", "Text of two."), COMPLETE)
    await bench.read(found("1", "Text of one."))
    told = await bench.read({"is": "refused"}, COMPLETE)
    assert (told.state, [error.reason for error in told.errors]) == ("Failed", ["LoginRefused"])
    assert await bench.searchable() == {"1.txt", "2.txt"}


async def test_the_next_reading_starts_where_the_last_one_said(bench: Bench) -> None:
    """After a Complete from its state, here none: from an older checkpoint, the end of a list would look like all."""
    events = (found("1", "Text of one."), CHECKPOINT)
    await bench.read(*events)
    await bench.read(*events, COMPLETE)
    assert bench.script.began_with() == [{"events": 2}]
    await bench.read(*events, COMPLETE)
    assert bench.script.began_with() == [None]
    assert await bench.searchable() == {"1.txt"}


async def test_a_document_deleted_here_comes_back_while_it_stands_upstream(bench: Bench) -> None:
    await bench.read(found("1", "Text of one."))
    async with bench.rig.pool.acquire() as conn:
        await delete_document(conn, (await bench.documents())["1.txt"].id)
    assert await bench.searchable() == set()
    await bench.read(found("1", "Text of one."))
    assert await bench.searchable() == {"1.txt"}


async def test_what_cannot_be_read_is_told_and_stops_nothing(bench: Bench) -> None:
    told = await bench.read(
        found("1", "MZ" + "\0" * 90),
        found("2", ""),
        found("3", "Gone before it was fetched.", fetch="gone"),
        found("4", "{}", type="application/x-unknown"),
        found("5", "Text of five."),
        COMPLETE,
    )
    assert (told.state, told.documents.done, told.documents.failed) == ("Failed", 1, 3)
    assert {error.reason for error in told.errors} == {"ExecutableFile", "EmptyFile", "UnsupportedType"}
    assert await bench.searchable() == {"5.txt"}
    assert sorted(bench.script.fetched()) == ["1", "2", "3", "5"]
    assert await bench.rig.count("SELECT count(*) FROM object_outbox WHERE NOT doomed AND due_at > now()") == 0


async def test_force_ingests_what_is_unchanged(bench: Bench) -> None:
    await bench.read(found("1", "Text of one."))
    told = await bench.read(found("1", "Text of one."), force=True)
    assert (told.documents.done, told.documents.skipped) == (1, 0)
    assert told.tokens > 0


async def test_an_unknown_plugin_is_named(bench: Bench) -> None:
    source = InputSource(kind="plugin", reader="nowhere", config={}, identity="nowhere")
    told = await bench.run(bench.mount(source))
    assert [error.reason for error in told.errors] == ["UnknownSource"]
    assert "scripted" in told.errors[0].message


STEPS = [
    ("dreamhub_worker.collect.upload", "after"),
    ("dreamhub_worker.collect.register_upload", "after"),
    ("dreamhub.sql.sources.store_checkpoint", "after"),
    ("dreamhub_worker.collect.delete_document", "after"),
    ("dreamhub.sql.sources.end_round", "after"),
]


@pytest.mark.parametrize(("step", "when"), STEPS, ids=[f"{when} {step.rpartition('.')[2]}" for step, when in STEPS])
async def test_a_kill_costs_a_repetition_and_nothing_else(bench: Bench, step: str, when: str) -> None:
    await bench.read(found("0", "Text of an older time."), COMPLETE)
    bench.script.tell(
        found("1", "Text of one."),
        found("2", "Text of two."),
        CHECKPOINT,
        found("3", "Text of three."),
        CHECKPOINT,
        COMPLETE,
    )
    bench.script.die_at(step, when)
    mount = bench.scripted()
    path = {"PYTHONPATH": os.pathsep.join(map(str, (bench.script.folder, Path.cwd(), *filter(None, sys.path))))}
    assert await (await spawn(mount, **path)).wait() == -signal.SIGKILL
    assert await (await spawn(mount, **path)).wait() == 0
    assert await bench.searchable() == {"1.txt", "2.txt", "3.txt"}
    assert await bench.rig.count("SELECT count(*) FROM document_versions") == 3
    assert await bench.rig.count("SELECT count(*) FROM chunks") == 3
    assert await bench.rig.count("SELECT count(*) FROM work_items") <= 3 + 1
    assert (await bench.rig.progress(mount)).state == "Succeeded"


async def test_the_import_folder_is_read_again_and_again(bench: Bench) -> None:
    source = InputSource(kind="s3", reader="s3", config={"prefix": "handbook/"}, identity="handbook")
    await bench.put_folder({**FOLDER, "other/c.md": b"Not asked for.", "handbook/empty/": b""})
    told = await bench.run(bench.mount(source))
    assert (told.state, told.documents.done) == ("Succeeded", 2)
    assert await bench.searchable() == {"a.md", "b.md"}
    again = await bench.run(bench.mount(source))
    assert (again.documents.skipped, again.tokens) == (2, 0)
    await bench.put_folder({"handbook/a.md": b"# A\n\nThe first page, corrected."})
    await bench.store.delete(f"{names.import_folder(bench.rig.tenant.tenant)}handbook/deep/b.md")
    changed = await bench.run(bench.mount(source))
    assert (changed.documents.done, changed.documents.skipped) == (1, 0)
    assert await bench.searchable() == {"a.md"}
    assert (await bench.documents())["a.md"].latest.number == 2


async def test_another_worker_reads_when_the_first_is_nowhere(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the quota has no room for the first one's pod as long as the others wait for it."""
    monkeypatch.setattr("dreamhub_worker.reading_turn.FIRST_SECONDS", 0)
    bench.script.tell(found("1", "Text of one."), COMPLETE)
    mount = bench.scripted(parallelism=2)
    async with asyncio.timeout(60):
        assert await bench.rig.run(mount, JOB_COMPLETION_INDEX="1") == 0
    assert (await bench.rig.progress(mount)).documents.done == 1


def own_bucket(bench: Bench, folder: Path, secret: dict[str, str], *networks: OpenNetwork) -> InputSource:
    for name, text in secret.items():
        (folder / name).write_text(text)
    settings = bench.store_settings
    config = {"endpoint": settings.endpoint, "bucket": settings.bucket, "prefix": f"elsewhere/{folder.parent.name}/"}
    return InputSource(
        kind="s3", reader="s3", config=config, identity=str(folder), networks=networks, secret_dir=str(folder)
    )


async def test_a_bucket_of_ones_own_is_read_with_the_secrets_keys(bench: Bench, tmp_path: Path) -> None:
    """Another prefix of the tests' store plays the foreign bucket."""
    folder = tmp_path / "secret"
    folder.mkdir()
    settings = bench.store_settings
    keys = {"access-key": settings.access_key, "secret-key": settings.secret_key}
    await bench.store.put(f"elsewhere/{tmp_path.name}/a.txt", b"Text from elsewhere.")
    loopback = OpenNetwork(cidr="127.0.0.0/8")
    told = await bench.run(bench.mount(own_bucket(bench, folder, keys, loopback)))
    assert (told.state, told.documents.done) == ("Succeeded", 1)
    assert await bench.searchable() == {"a.txt"}
    told = await bench.run(bench.mount(own_bucket(bench, folder, keys)))
    assert [error.reason for error in told.errors] == ["AddressRefused"]
    told = await bench.run(bench.mount(own_bucket(bench, folder, {"access-key": ""}, loopback)))
    assert [error.reason for error in told.errors] == ["SecretMissing"]
    assert await bench.searchable() == {"a.txt"}


async def test_a_source_that_stays_away_is_given_up_after_some_attempts(bench: Bench) -> None:
    """Each waits as long as it has patience; one that got something new counts from the beginning."""
    refused = found("2", "MZ" + "\0" * 90)
    bench.script.tell(found("1", "Text of one."), CHECKPOINT, refused, {"is": "gone", "key": "none"}, {"is": "away"})
    mount = bench.scripted()
    codes = [await bench.rig.run(mount, DREAMHUB_PATIENCE_SECONDS="1") for _ in range(3)]
    assert codes == [75, 75, 0]
    told = await bench.rig.progress(mount)
    assert (told.state, told.documents.total, told.documents.failed) == ("Failed", 3, 2)
    assert [(error.reason, error.error_class) for error in told.errors] == [
        ("ExecutableFile", "Permanent"),
        ("ServerAway", "Transient"),
    ]
    assert await bench.searchable() == {"1.txt"}
