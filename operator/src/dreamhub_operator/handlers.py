"""kopf's side: watches in, keys out. Handlers remember what they see and put keys into queues; nothing else.

Only low-level watching is used: no change handlers, no timers, no daemons. So kopf writes nothing to our objects: no
copy of a spec in an annotation, no progress in a status that its schema would prune, no finalizer of its own; and a
reconcile is not a reaction to one event but a look at what is.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import kopf
from typing_extensions import override

from dreamhub.names import OWNER_UID_LABEL
from dreamhub_operator.connection import Connection
from dreamhub_operator.freshness import CLIENT_SECONDS, SERVER_SECONDS, Freshness, selector_key
from dreamhub_operator.kinds import INGEST_JOB, JOB, POD, TENANT, WATCHED, Kind, Manifest
from dreamhub_operator.queue import WorkQueue
from dreamhub_operator.watched import Watched, owner_uid

Put = Callable[[Manifest], bool]
See = Callable[[Manifest], None]
"""Called with an object that has changed."""


@dataclass(frozen=True)
class Handlers:
    watched: Watched
    tenants: WorkQueue[str]
    ingest_jobs: WorkQueue[str]
    freshness: Freshness
    connection: Connection
    news: set[str] = field(default_factory=set)
    """UIDs of objects that were remembered as changed and not acted upon yet."""
    listed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by the first handler that kopf calls, which it does when all that it has listed is indexed."""

    def register(self, registry: kopf.OperatorRegistry) -> None:
        kopf.on.login(id="login", registry=registry)(self.login)
        for kind, see, drop in (
            (TENANT, self.see_tenant, self.drop_tenant),
            (INGEST_JOB, self.see_ingest_job, self.drop_ingest_job),
            (JOB, self.see_child, self.drop_job),
            (POD, self.see_child, self.drop_pod),
        ):
            kopf.on.event(*selector_key(kind), id=kind.plural, registry=registry)(self._proving(kind, see, drop))
            index = kopf.index(*selector_key(kind), id=f"{kind.plural}-known", registry=registry, when=self.is_listing)
            index(self._remembering(kind))

    def _remembering(self, kind: Kind) -> Callable[..., Any]:
        """As an index, because kopf runs indexes before handlers, and no handler before all listed objects are indexed.

        So the first reconcile after a start already knows every Job and pod and does not ask for them. It indexes
        nothing: the memory is ours. Later the handlers remember by themselves: two calls cost kopf twice as much.
        """
        put = self._put(kind)

        async def remember(body: kopf.Body, **_: Any) -> None:
            manifest = dict(body)
            if _is_ours(kind, manifest) and put(manifest):
                self.news.add(manifest["metadata"]["uid"])

        return remember

    def _proving(self, kind: Kind, see: See, drop: See) -> Callable[..., Any]:
        put = self._put(kind)

        async def handle(event: kopf.RawEvent, **_: Any) -> None:
            self.listed.set()
            self.freshness.prove(kind.plural)
            body = dict(event["object"])
            gone, uid = event["type"] == "DELETED", event["object"]["metadata"]["uid"]
            if _is_ours(kind, body) and (gone or put(body) or uid in self.news):
                self.news.discard(uid)
                (drop if gone else see)(body)

        return handle

    def _put(self, kind: Kind) -> Put:
        return {
            TENANT: self.watched.put_tenant,
            INGEST_JOB: self.watched.put_ingest_job,
            JOB: self.watched.put_job,
            POD: self.watched.put_pod,
        }[kind]

    def is_listing(self, **_: Any) -> bool:
        return not self.listed.is_set()

    async def login(self, **_: Any) -> kopf.AiohttpSession:
        """A session of kopf's own: it closes it at its end, and again whenever it is refused."""
        session = self.connection.open_session(self.freshness.trace())
        return kopf.AiohttpSession(server=self.connection.url, aiohttp_session=session)

    def see_tenant(self, body: Manifest) -> None:
        self.tenants.add(body["metadata"]["uid"])
        self._wake_jobs_of(body)

    def drop_tenant(self, body: Manifest) -> None:
        uid = body["metadata"]["uid"]
        self.watched.drop_tenant(uid)
        self.tenants.forget(uid)
        self._wake_jobs_of(body)

    def _wake_jobs_of(self, tenant: Manifest) -> None:
        for job in self.watched.waiting_jobs_of(tenant["metadata"]["name"]):
            self.ingest_jobs.add(job)

    def see_ingest_job(self, body: Manifest) -> None:
        self.ingest_jobs.add(body["metadata"]["uid"])

    def drop_ingest_job(self, body: Manifest) -> None:
        uid = body["metadata"]["uid"]
        self.watched.drop_ingest_job(uid)
        self.ingest_jobs.forget(uid)
        self.ingest_jobs.add(uid)  # once more: what it held is given back

    def see_child(self, body: Manifest) -> None:
        self.ingest_jobs.add(owner_uid(body))

    def drop_job(self, body: Manifest) -> None:
        self.watched.drop_job(body)
        self.see_child(body)

    def drop_pod(self, body: Manifest) -> None:
        self.watched.drop_pod(body)
        self.see_child(body)


def _is_ours(kind: Kind, body: Manifest) -> bool:
    return kind in (TENANT, INGEST_JOB) or bool(owner_uid(body))


class NoDiffBase(kopf.DiffBaseStorage):
    """Keeps nothing: without change handlers nobody asks what an object was before.

    The default would copy every object of every event for it, a fifth of the operator's CPU time.
    """

    @override
    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    @override
    def fetch(self, **_: Any) -> None:
        return None

    @override
    def store(self, **_: Any) -> None:
        """Nothing to keep."""


def build_settings() -> kopf.OperatorSettings:
    """The traps: timeouts that let a dead connection be noticed, no limit of workers, which would deadlock indexes.

    A worker is kept for each object that has changed lately, with the event: a rush of them adds up.
    """
    settings = kopf.OperatorSettings()
    settings.persistence.diffbase_storage = NoDiffBase()
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
    settings.queueing.idle_timeout = 1.0
    settings.process.ultimate_exiting_timeout = 20
    for kind in WATCHED:
        if kind not in (TENANT, INGEST_JOB):
            settings.watching.label_selectors[selector_key(kind)] = OWNER_UID_LABEL
    return settings
