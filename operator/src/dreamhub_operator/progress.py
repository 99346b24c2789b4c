"""The poll of running jobs' progress: one query a second for each tenant with running jobs, whatever their number."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from dreamhub.errors import DreamHubError, NotFoundError
from dreamhub_operator.ports import Database
from dreamhub_operator.reconcile.ingest_plan import is_final
from dreamhub_operator.watched import Watched

POLL_SECONDS = 1.0

log = structlog.get_logger()


@dataclass
class ProgressPoll:
    watched: Watched
    database: Database
    changed: Callable[[str], None]
    """Called with the UID of each IngestJob whose progress is new."""
    _failing: set[str] = field(default_factory=set)

    async def run(self) -> None:
        """Poll until cancelled. A database that is away costs progress reports, nothing else."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            for tenant, uids in self.find_running().items():
                await self._poll(tenant, uids)

    def find_running(self) -> dict[str, list[str]]:
        """UIDs by tenant of the IngestJobs that have a Job and have not ended."""
        running: dict[str, list[str]] = defaultdict(list)
        for uid in self.watched.jobs:
            job = self.watched.ingest_jobs.get(uid)
            tenant = self.watched.tenant_of(job) if job is not None else None
            if job is not None and tenant is not None and not is_final(job.status):
                running[tenant.metadata.name].append(uid)
        return running

    async def _poll(self, tenant: str, uids: list[str]) -> None:
        try:
            runs = await self.database.fetch_runs(tenant, uids)
        except NotFoundError:
            return
        except DreamHubError as error:
            if tenant not in self._failing:
                log.warning("progress cannot be read", tenant=tenant, error=error.message)
            self._failing.add(tenant)
            return
        except Exception:
            log.exception("progress cannot be read", tenant=tenant)
            return
        self._failing.discard(tenant)
        for uid, status in runs.items():
            if self.watched.runs.get(uid) != status:
                self.watched.runs[uid] = status
                self.changed(uid)
