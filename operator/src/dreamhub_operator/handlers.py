"""kopf's side: watches in, keys out. Handlers remember what they see and put keys into queues; nothing else.

Only low-level watching is used: no change handlers, no timers, no daemons. So kopf writes nothing to our objects: no
copy of a spec in an annotation, no progress in a status that its schema would prune, no finalizer of its own; and a
reconcile is not a reaction to one event but a look at what is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import kopf

from dreamhub.names import OWNER_UID_LABEL
from dreamhub_operator.connection import Connection
from dreamhub_operator.freshness import CLIENT_SECONDS, SERVER_SECONDS, Freshness, selector_key
from dreamhub_operator.kinds import INGEST_JOB, JOB, POD, TENANT, WATCHED, Kind, Manifest
from dreamhub_operator.queue import WorkQueue
from dreamhub_operator.watched import Watched, owner_uid

Put = Callable[[Manifest], bool]


@dataclass(frozen=True)
class Handlers:
    watched: Watched
    tenants: WorkQueue[str]
    ingest_jobs: WorkQueue[str]
    freshness: Freshness
    connection: Connection

    def register(self, registry: kopf.OperatorRegistry) -> None:
        kopf.on.startup(id="configure", registry=registry)(configure)
        kopf.on.login(id="login", registry=registry)(self.login)
        for kind, see in (
            (TENANT, self.see_tenant),
            (INGEST_JOB, self.see_ingest_job),
            (JOB, self.see_job),
            (POD, self.see_pod),
        ):
            kopf.on.event(*selector_key(kind), id=kind.plural, registry=registry)(self._proving(kind, see))
            kopf.index(*selector_key(kind), id=f"{kind.plural}-known", registry=registry)(self._remembering(kind))

    def _remembering(self, kind: Kind) -> Callable[..., Any]:
        """As an index, because kopf runs no handler before all indexes have seen all listed objects.

        So the first reconcile after a start already knows every Job and pod and does not ask for them. It indexes
        nothing: the memory is ours.
        """
        put: Put = {
            TENANT: self.watched.put_tenant,
            INGEST_JOB: self.watched.put_ingest_job,
            JOB: self.watched.put_job,
            POD: self.watched.put_pod,
        }[kind]

        async def remember(event: kopf.RawEvent, **_: Any) -> None:
            body = dict(event["object"])
            if event["type"] is None and _is_ours(kind, body):
                put(body)

        return remember

    def _proving(self, kind: Kind, see: Callable[[str | None, Manifest], None]) -> Callable[..., Any]:
        async def handle(event: kopf.RawEvent, **_: Any) -> None:
            self.freshness.prove(kind.plural)
            body = dict(event["object"])
            if _is_ours(kind, body):
                see(event["type"], body)

        return handle

    async def login(self, **_: Any) -> kopf.AiohttpSession:
        return self.connection.to_kopf()

    def see_tenant(self, change: str | None, body: Manifest) -> None:
        uid, name = body["metadata"]["uid"], body["metadata"]["name"]
        if change == "DELETED":
            self.watched.drop_tenant(uid)
            self.tenants.forget(uid)
        elif self.watched.put_tenant(body) or change is None:
            self.tenants.add(uid)
        else:
            return
        for job in self.watched.waiting_jobs_of(name):
            self.ingest_jobs.add(job)

    def see_ingest_job(self, change: str | None, body: Manifest) -> None:
        uid = body["metadata"]["uid"]
        if change == "DELETED":
            self.watched.drop_ingest_job(uid)
            self.ingest_jobs.forget(uid)
        elif self.watched.put_ingest_job(body) or change is None:
            self.ingest_jobs.add(uid)

    def see_job(self, change: str | None, body: Manifest) -> None:
        if change == "DELETED":
            self.watched.drop_job(body)
            self.ingest_jobs.add(owner_uid(body))
        elif self.watched.put_job(body) or change is None:
            self.ingest_jobs.add(owner_uid(body))

    def see_pod(self, change: str | None, body: Manifest) -> None:
        if change == "DELETED":
            self.watched.drop_pod(body)
            self.ingest_jobs.add(owner_uid(body))
        elif self.watched.put_pod(body) or change is None:
            self.ingest_jobs.add(owner_uid(body))


def _is_ours(kind: Kind, body: Manifest) -> bool:
    return kind in (TENANT, INGEST_JOB) or bool(owner_uid(body))


async def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    """The traps: timeouts that let a dead connection be noticed, no lowering of limits that would deadlock indexes."""
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.watching.server_timeout = SERVER_SECONDS
    settings.watching.client_timeout = CLIENT_SECONDS
    settings.watching.inactivity_timeout = CLIENT_SECONDS
    settings.watching.connect_timeout = 10
    settings.watching.reconnect_backoff = 0.1
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.networking.enforce_retry_after = True
    settings.queueing.worker_limit = None
    settings.process.ultimate_exiting_timeout = 20
    for kind in WATCHED:
        if kind not in (TENANT, INGEST_JOB):
            settings.watching.label_selectors[selector_key(kind)] = OWNER_UID_LABEL
