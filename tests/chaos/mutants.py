"""The worker with one of its walls taken down: `python -m tests.chaos.mutants <name>`. The checker must notice each."""

import re
import sys
from collections.abc import Callable

from dreamhub.sql import landing, work_items
from dreamhub.sql.ingest import RunDocument
from dreamhub_worker import job, work_queue
from dreamhub_worker.__main__ import main
from tests.chaos.corpus import CHUNKS_A_DOCUMENT


def settle_again() -> None:
    """No conflict where an item has its outcome: whoever comes later counts it once more."""
    for name in ("settle_item", "begin_item"):
        work_items._SQL[name] = work_items._SQL[name].replace(" AND state = 'Queued'", "")
    for name in ("list_open_items", "list_free_items"):
        work_items._SQL[name] = re.sub(r"AND (i\.)?state = 'Queued'", "", work_items._SQL[name])
    work_items._SQL["has_open_items"] = "SELECT false WHERE $1 <> ''"


def unfenced() -> None:
    """Anybody claims anything at any time, and older claims go on writing."""
    vars(work_queue)["LEASE_SECONDS"] = 0.0
    landing._SQL["is_attempt_alive"] = "SELECT false WHERE $1 <> '' OR $2 + $3 + $4 > 0"
    landing._SQL["advance_checkpoint"] = (
        "UPDATE document_versions SET chunks_stored = $5 "
        "WHERE id = $1 AND $2::bigint >= 0 AND $3::uuid IS NOT NULL AND $4 >= 0 RETURNING chunks_stored"
    )
    landing._SQL["lock_claimed"] = landing._SQL["lock_claimed"].replace(
        "v.fence = $2 AND v.landing = $3", "$2::bigint >= 0 AND $3::uuid IS NOT NULL"
    )


def acknowledge_early() -> None:
    """An item is settled when it is taken, not when it is done."""
    work_items._SQL["begin_item"] = work_items._SQL["begin_item"].replace(" AND state = 'Queued'", "")
    ingest, settle = job.Ingestion.ingest, work_items.settle_item

    async def early(self: job.Ingestion, current: job.Current) -> None:
        async with self.tools.connection() as conn:
            outcome = RunDocument(current.document_id, current.version_id, "Done", chunks=CHUNKS_A_DOCUMENT)
            await settle(conn, self.run, current.item, outcome)
        await ingest(self, current)

    async def nothing(*_arguments: object) -> None: ...

    job.Ingestion.ingest = early  # type: ignore[method-assign] # what a mutant is
    vars(job)["settle_item"] = nothing  # it was settled before


MUTANTS: dict[str, Callable[[], None]] = {
    "no-conflict": settle_again,
    "no-fencing": unfenced,
    "early-acknowledge": acknowledge_early,
}

if __name__ == "__main__":
    MUTANTS[sys.argv[1]]()
    main()
