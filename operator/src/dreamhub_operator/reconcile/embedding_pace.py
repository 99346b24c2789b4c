"""How long calls of the embedding models take now, by what running jobs report, and whose cold work waits for it.

A run reports the 95th percentile of its last calls. Of a model counts the (lower) median over the tenants that use it,
and of a tenant that over its runs: one slow document is no slow model, and one tenant is one voice, whatever its runs
say. What no run has confirmed for a while counts no more: when all work of a model was cold and is held back, nobody
measures, and after that while some of it goes on and tells how things are.
"""

import statistics
from collections import defaultdict
from dataclasses import dataclass, field

from dreamhub_operator.reconcile.ingest_plan import is_final
from dreamhub_operator.watched import Watched

FRESH_SECONDS = 60.0


@dataclass
class EmbeddingPace:
    watched: Watched
    limit: float
    """Seconds; 0 is none."""
    _readings: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    """By the UID of the IngestJob: seconds spent in calls so far, the percentile, and when that was first seen so."""

    def find_slow(self, now: float) -> frozenset[str]:
        """Tenants whose embedding model is over the limit."""
        if not self.limit:
            return frozenset()
        self._read(now)
        slow = {model for model, seconds in self.percentiles(now).items() if seconds > self.limit}
        return frozenset(
            tenant.metadata.name for tenant in self.watched.tenants.values() if tenant.spec.models.embedding in slow
        )

    def percentiles(self, now: float) -> dict[str, float]:
        """Seconds by model, as far as they are known."""
        by_model: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for uid, (_, seconds, seen_at) in self._readings.items():
            job = self.watched.ingest_jobs.get(uid)
            tenant = self.watched.tenant_of(job) if job is not None else None
            if tenant is not None and seconds and now - seen_at < FRESH_SECONDS:
                by_model[tenant.spec.models.embedding][tenant.metadata.name].append(seconds)
        return {
            model: statistics.median_low(map(statistics.median, by_tenant.values()))
            for model, by_tenant in by_model.items()
        }

    def _read(self, now: float) -> None:
        before, self._readings = self._readings, {}
        for uid, status in self.watched.runs.items():
            job, timing = self.watched.ingest_jobs.get(uid), status.progress.timing
            if job is None or is_final(job.status):
                continue
            known = before.get(uid)
            same = known is not None and known[0] == timing.embed_seconds
            self._readings[uid] = known if known and same else (timing.embed_seconds, timing.embed_p95_seconds, now)
