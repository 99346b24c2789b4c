"""Liveness, readiness and metrics over HTTP, for the kubelet and Prometheus."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import get_args

from aiohttp import web

from dreamhub.crd.ingest_job import WAITING_PHASES, IngestPhase
from dreamhub.telemetry import render
from dreamhub_operator.cluster import Cluster
from dreamhub_operator.freshness import Freshness
from dreamhub_operator.metrics import Metrics
from dreamhub_operator.watched import Watched

PHASES: tuple[IngestPhase, ...] = get_args(IngestPhase)


@dataclass(frozen=True)
class Probes:
    cluster: Cluster
    freshness: Freshness
    watched: Watched
    metrics: Metrics
    is_ready: Callable[[], bool]
    """Whether start-up is done: as a standby, or as the active one with its first lists read."""

    def build(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/healthz", self.healthz)
        app.router.add_get("/readyz", self.readyz)
        app.router.add_get("/metrics", self.show_metrics)
        return app

    async def healthz(self, _: web.Request) -> web.Response:
        """Dead only when a watch is silent although the API server answers: a restart would not mend the server."""
        stale = self.freshness.find_stale()
        if stale and await self.cluster.is_answering():
            return web.Response(status=503, text=f"no sign of life from the watches of {', '.join(stale)}\n")
        return web.Response(text="ok\n")

    async def readyz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n") if self.is_ready() else web.Response(status=503, text="starting\n")

    async def show_metrics(self, request: web.Request) -> web.Response:
        for kind, age in self.freshness.ages().items():
            self.metrics.watch_age.labels(kind).set(age)
        counts = Counter(job.status.phase for job in self.watched.ingest_jobs.values())
        for phase in PHASES:
            self.metrics.jobs.labels(phase).set(counts[phase])
        waiting = Counter(
            job.status.reason for job in self.watched.ingest_jobs.values() if job.status.phase in WAITING_PHASES
        )
        self.metrics.jobs_waiting.clear()
        for reason, count in waiting.items():
            self.metrics.jobs_waiting.labels(reason.value).set(count)
        self.metrics.isolation.show(self.watched.tenants.values(), datetime.now(UTC))
        body, content_type = render(self.metrics.registry, request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})
