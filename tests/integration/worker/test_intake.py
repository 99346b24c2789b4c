"""What is taken in of a source, however much it tells: so large an original, so long a name, so many tags and items."""

import asyncio

from dreamhub_worker.collect import _AT_ONCE
from tests.integration.worker.support import eventually
from tests.integration.worker.test_sources import CHECKPOINT, Bench, bench, found

__all__ = ["bench"]

LIMIT = 1_000


async def test_what_is_too_large_is_refused_and_nothing_else_is(bench: Bench) -> None:
    fits = found("1", "x" * LIMIT)
    bench.script.tell(fits, found("2", "x" * (LIMIT + 1)), found("3", "y" * (LIMIT + 1), file=True), CHECKPOINT)
    mount = bench.scripted()
    assert await bench.rig.run(mount, DREAMHUB_UPLOAD_LIMIT_BYTES=str(LIMIT)) == 0
    told = await bench.rig.progress(mount)
    assert (told.state, told.documents.done, told.documents.failed) == ("Failed", 1, 2)
    assert {(error.reason, error.error_class) for error in told.errors} == {("TooLarge", "Permanent")}
    assert await bench.searchable() == {"1.txt"}
    assert await bench.rig.count("SELECT count(*) FROM object_outbox") == 0, "of the others no byte was stored"


async def test_names_and_tags_of_a_source_are_cut(bench: Bench) -> None:
    await bench.read(
        found("1", "Text.", name="n" * 300 + ".txt", tags=["", "t" * 100, *(f"tag-{n}" for n in range(50))])
    )
    [(name, document)] = (await bench.documents()).items()
    assert name == "n" * 254 + "…"
    assert len(document.tags) == 32
    assert document.tags[0] == "t" * 63


async def test_few_items_are_under_way_together(bench: Bench) -> None:
    """A source may tell a million: what is fetched waits in a folder, and the folder is small."""
    bench.script.tell(*(found(str(number), f"Text of {number}.", slow=True) for number in range(3 * _AT_ONCE)))
    mount = bench.scripted()
    worker = asyncio.create_task(bench.rig.run(mount))

    async def busy() -> bool:
        return bench.script.waiting() >= _AT_ONCE

    await eventually(busy, "as many as may be are fetched")
    for _ in range(10):  # each takes as long as the next item would need to begin
        await bench.documents()
    assert len(bench.script.fetched()) == _AT_ONCE
    bench.script.go_on()
    assert await worker == 0
    assert (await bench.rig.progress(mount)).documents.done == 3 * _AT_ONCE
