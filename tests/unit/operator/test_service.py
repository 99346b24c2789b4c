"""What one key's work sets off in the other queue."""

import asyncio
from typing import Any, cast

import pytest

from dreamhub_operator.service import Service
from dreamhub_operator.watched import Watched
from tests.unit.operator.test_watched import Keys, ingest_job, tenant


def ready(status: str) -> dict[str, Any]:
    condition = {
        "type": "Ready",
        "status": status,
        "reason": "Provisioned",
        "message": "",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    return {**tenant("6" if status == "True" else "5"), "status": {"conditions": [condition]}}


class Reconciler:
    """Writes the status that it was made with, as the real one does: into the memory, so that its echo is no news."""

    def __init__(self, watched: Watched, after: str) -> None:
        self._watched = watched
        self._after = after

    async def reconcile(self, _: object) -> float:
        self._watched.put_tenant(ready(self._after))
        return 1.0


@pytest.mark.parametrize(
    ("before", "after", "woken"), [("False", "True", ["j1"]), ("False", "False", []), ("True", "True", [])]
)
def test_a_tenant_that_becomes_ready_wakes_its_waiting_jobs(before: str, after: str, woken: list[str]) -> None:
    watched, queue = Watched(), Keys()
    watched.put_tenant(ready(before))
    watched.put_ingest_job(ingest_job())
    service = object.__new__(Service)
    service.context = cast("Any", Known(watched))
    service._ingest_jobs = cast("Any", queue)
    service._reconciler = cast("Any", Reconciler(watched, after))
    assert asyncio.run(service._tenant_step("t1")) == 1.0
    assert queue.added == woken


class Known:
    """The part of the context that the step looks at."""

    def __init__(self, watched: Watched) -> None:
        self.watched = watched
