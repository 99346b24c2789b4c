"""What the watches have shown: the operator's memory of Tenants, IngestJobs, their Jobs and pods.

Everything here can be lost at any moment and is filled again by the watches. Our own writes are put in with their
answers, so that a reconcile never plans against what it has itself just changed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dreamhub.crd.ingest_job import FINAL_PHASES, WAITING_PHASES, IngestJob
from dreamhub.crd.tenant import Tenant
from dreamhub.names import OWNER_UID_LABEL, namespace, tenant_of_namespace
from dreamhub.sql.runs import RunStatus
from dreamhub_operator.kinds import Manifest
from dreamhub_operator.reconcile.job_state import JobState, PodState, read_job, read_pod


def owner_uid(body: Manifest) -> str:
    """UID of the custom resource that the object was made for; empty for objects of others."""
    return str((body["metadata"].get("labels") or {}).get(OWNER_UID_LABEL, ""))


def _version(text: str) -> int:
    """Resource versions of one kind grow (Kubernetes promises it since 1.35; etcd always did it)."""
    return int(text) if text.isdigit() else 0


@dataclass
class Watched:
    tenants: dict[str, Tenant] = field(default_factory=dict)
    """By UID."""
    tenant_uids: dict[str, str] = field(default_factory=dict)
    """UID by name."""
    ingest_jobs: dict[str, IngestJob] = field(default_factory=dict)
    """By UID."""
    jobs: dict[str, JobState] = field(default_factory=dict)
    """By the UID of their IngestJob."""
    pods: dict[str, dict[str, PodState]] = field(default_factory=dict)
    """By the UID of their IngestJob, then by name."""
    runs: dict[str, RunStatus] = field(default_factory=dict)
    """Progress from the database, by the UID of the IngestJob."""
    _spaces: dict[str, dict[str, None]] = field(default_factory=dict)
    """UIDs of IngestJobs by namespace, in the order in which they were first seen."""
    _listeners: list[Callable[[str], None]] = field(default_factory=list)

    def listen(self, listener: Callable[[str], None]) -> None:
        """Have it called with the UID of each IngestJob that comes, changes or goes, and of those that are known."""
        self._listeners.append(listener)
        for uid in list(self.ingest_jobs):
            listener(uid)

    def _tell(self, uid: str) -> None:
        for listener in self._listeners:
            listener(uid)

    def put_tenant(self, body: Manifest) -> bool:
        """Remember; False when what is remembered is as new (such as the echo of our own write)."""
        if not _is_news(body, self.tenants):
            return False
        tenant = Tenant.model_validate(body)
        self.tenants[tenant.metadata.uid] = tenant
        self.tenant_uids[tenant.metadata.name] = tenant.metadata.uid
        return True

    def drop_tenant(self, uid: str) -> None:
        tenant = self.tenants.pop(uid, None)
        if tenant is not None and self.tenant_uids.get(tenant.metadata.name) == uid:
            del self.tenant_uids[tenant.metadata.name]

    def put_ingest_job(self, body: Manifest) -> bool:
        """As `put_tenant`."""
        if not _is_news(body, self.ingest_jobs):
            return False
        job = IngestJob.model_validate(body)
        self.ingest_jobs[job.metadata.uid] = _without_text(job)
        self._spaces.setdefault(job.metadata.namespace or "", {})[job.metadata.uid] = None
        self._tell(job.metadata.uid)
        return True

    def drop_ingest_job(self, uid: str) -> None:
        job = self.ingest_jobs.pop(uid, None)
        self.runs.pop(uid, None)
        name = (job.metadata.namespace or "") if job is not None else ""
        self._spaces.get(name, {}).pop(uid, None)
        if not self._spaces.get(name):
            self._spaces.pop(name, None)
        self._tell(uid)

    def put_job(self, body: Manifest) -> bool:
        """Remember; False when nothing that matters has changed."""
        uid, state = owner_uid(body), read_job(body)
        changed = self.jobs.get(uid) != state
        self.jobs[uid] = state
        return changed

    def drop_job(self, body: Manifest) -> None:
        known = self.jobs.get(owner_uid(body))
        if known is not None and known.uid == body["metadata"]["uid"]:
            del self.jobs[owner_uid(body)]

    def forget_job(self, uid: str) -> None:
        """The Job of this IngestJob, and its pods, turned out to be gone; no watch has told, nor will."""
        self.jobs.pop(uid, None)
        self.pods.pop(uid, None)

    def put_pod(self, body: Manifest) -> bool:
        """As `put_job`."""
        state = read_pod(body)
        pods = self.pods.setdefault(owner_uid(body), {})
        changed = pods.get(state.name) != state
        pods[state.name] = state
        return changed

    def drop_pod(self, body: Manifest) -> None:
        pods = self.pods.get(owner_uid(body), {})
        pods.pop(body["metadata"]["name"], None)
        if not pods:
            self.pods.pop(owner_uid(body), None)

    def tenant_of(self, job: IngestJob) -> Tenant | None:
        name = tenant_of_namespace(job.metadata.namespace or "")
        return self.tenants.get(self.tenant_uids.get(name, "")) if name is not None else None

    def waiting_jobs_of(self, tenant: str) -> list[str]:
        """UIDs of a tenant's IngestJobs that have not begun: a change of the tenant may let them."""
        jobs = ((uid, self.ingest_jobs[uid]) for uid in self.ingest_jobs_in(namespace(tenant)))
        return [uid for uid, job in jobs if job.status.phase in WAITING_PHASES]

    def ingest_jobs_in(self, name: str) -> list[str]:
        """UIDs of the IngestJobs of a namespace."""
        return list(self._spaces.get(name, ()))


def _without_text(job: IngestJob) -> IngestJob:
    """A finished IngestJob stays for a day or more; the text that it carried is not needed any more."""
    inline = job.spec.source.inline
    if inline is None or job.status.phase not in FINAL_PHASES:
        return job
    source = job.spec.source.model_copy(update={"inline": inline.model_copy(update={"text": ""})})
    return job.model_copy(update={"spec": job.spec.model_copy(update={"source": source})})


def _is_news(body: Manifest, known: Mapping[str, Tenant] | Mapping[str, IngestJob]) -> bool:
    """Whether it is newer than what is known of it, told without a look at the rest: every second event is an echo."""
    metadata = body["metadata"]
    before, version = known.get(metadata["uid"]), str(metadata["resourceVersion"])
    return before is None or _version(version) > _version(before.metadata.resource_version) or not version.isdigit()
