"""Who watches what on this instance. Feeds live as long as somebody watches them."""

import asyncio

from redis.asyncio import Redis

from dreamhub import names
from dreamhub.crd.ingest_job import IngestJob
from dreamhub.storage.progress import Position, WakeUps
from dreamhub_api.hub.board import Board
from dreamhub_api.hub.channels import Channel
from dreamhub_api.hub.job_feed import JobFeed
from dreamhub_api.hub.subscription import Subscription
from dreamhub_api.services.ingest_jobs import IngestJobsService
from dreamhub_api.views import job_view

FeedKey = tuple[str, str]
"""Tenant and job."""


class Hub:
    def __init__(self, redis: Redis, wake_ups: WakeUps, jobs: IngestJobsService) -> None:
        self._redis = redis
        self._wake_ups = wake_ups
        self._jobs = jobs
        self._feeds: dict[FeedKey, tuple[JobFeed, asyncio.Task[None]]] = {}
        self._boards: dict[str, Board] = {}
        jobs.listen(self._on_change)

    async def subscribe(
        self, tenant: str, channel: Channel, subscription: Subscription, since: Position | None
    ) -> None:
        """Raises NotFoundError for a job that is not there."""
        if channel.job is None:
            jobs = [job_view(job) for job in self._jobs.watched(tenant)]
            self._boards.setdefault(tenant, Board()).subscribe(subscription, since, jobs)
            return
        job = await self._jobs.find(tenant, channel.job)
        feed = self._feed(tenant, job)
        try:
            await feed.subscribe(subscription, since)
        finally:
            self._drop_if_empty((tenant, channel.job))

    def unsubscribe(self, tenant: str, channel: Channel, subscription: Subscription) -> None:
        if channel.job is None:
            board = self._boards.get(tenant)
            if board is not None:
                board.unsubscribe(subscription)
            return
        held = self._feeds.get((tenant, channel.job))
        if held is not None:
            held[0].unsubscribe(subscription)
            self._drop_if_empty((tenant, channel.job))

    async def close(self) -> None:
        tasks = [task for _, task in self._feeds.values()]
        self._feeds.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _feed(self, tenant: str, job: IngestJob) -> JobFeed:
        key = (tenant, job.metadata.name)
        held = self._feeds.get(key)
        if held is not None and held[0].uid != job.metadata.uid:
            held[0].end()
            held[1].cancel()
            del self._feeds[key]
        if key not in self._feeds:
            feed = JobFeed(self._redis, tenant, job)
            self._feeds[key] = (feed, asyncio.create_task(feed.run(self._wake_ups)))
        return self._feeds[key][0]

    def _drop_if_empty(self, key: FeedKey) -> None:
        held = self._feeds.get(key)
        if held is not None and held[0].empty:
            del self._feeds[key]
            held[1].cancel()

    def _on_change(self, key: tuple[str, str], job: IngestJob | None) -> None:
        namespace, name = key
        tenant = names.tenant_of_namespace(namespace)
        if tenant is None:
            return
        gone = job is None or job.metadata.deletion_timestamp is not None
        held = self._feeds.get((tenant, name))
        if held is not None:
            if job is None or gone or job.metadata.uid != held[0].uid:
                held[0].end()
                self._drop_if_empty((tenant, name))
            else:
                held[0].change(job)
        board = self._boards.get(tenant)
        if board is not None:
            board.change(name, None if job is None or gone else job_view(job))
