"""Replacing a tenant's logins and data keys, one step at each look, without anybody noticing.

Logins: the other database login and a second password of the cache's user are made ready, then the Secret names them,
then the next look gives what was there before its end. Data keys: see `dreamhub.domain.key_ring`. The Tenant's
annotations `dreamhub.dev/rotate-credentials` and `dreamhub.dev/rotate-keys` ask for it now, by any new value.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime

import structlog

from dreamhub.crd.tenant import Tenant
from dreamhub.domain.conditions import format_time
from dreamhub.domain.key_ring import KeyRing
from dreamhub.errors import ConflictError
from dreamhub.names import API_GROUP, CREDENTIALS_SECRET, rekey_job
from dreamhub_operator import events
from dreamhub_operator.cluster import ObjectKey
from dreamhub_operator.context import Context
from dreamhub_operator.desired.credentials import Credentials, build_credentials, make_passwords, read_credentials
from dreamhub_operator.desired.job import COMPONENT_LABEL, WORKER_COMPONENT
from dreamhub_operator.desired.rekey import build_rekey_job
from dreamhub_operator.kinds import JOB, SECRET, Manifest
from dreamhub_operator.reconcile.drift import stamp
from dreamhub_operator.reconcile.tenant_plan import namespace_name
from dreamhub_operator.reconcile.tenant_status import Report
from dreamhub_operator.rotation.plan import (
    CredentialsSeen,
    CredentialsStep,
    JobProgress,
    KeysSeen,
    KeysStep,
    find_expired,
    plan_credentials,
    plan_keys,
)
from dreamhub_operator.rotation.status import build_credentials_status, build_keys_status, is_reencrypting
from dreamhub_operator.vault import KeyVault

ROTATE_CREDENTIALS = f"{API_GROUP}/rotate-credentials"
ROTATE_KEYS = f"{API_GROUP}/rotate-keys"

AT_ONCE = 0.0
"""A step was made: what it changed is made known, and the next step may be possible."""
WATCHING_SECONDS = 3.0
"""Between two looks at a re-encryption, so that its progress is told while it runs."""

log = structlog.get_logger()


@dataclass(frozen=True)
class RotationDuty:
    context: Context
    vault: KeyVault
    busy: set[str] = field(default_factory=set)
    """UIDs of the Tenants whose data key this process is replacing."""

    async def perform(self, tenant: Tenant, report: Report) -> float | None:
        inside = report.inside
        credentials = read_credentials(inside.credentials) if inside is not None else None
        if inside is None or inside.ring is None or credentials is None:
            return None
        wishes = [
            await self._tend_credentials(tenant, credentials, inside.ring, report),
            await self._tend_keys(tenant, inside.ring, report),
        ]
        return min((wish for wish in wishes if wish is not None), default=None)

    async def _tend_credentials(
        self, tenant: Tenant, credentials: Credentials, ring: KeyRing, report: Report
    ) -> float | None:
        now, rotation = self.context.now(), self.context.settings.rotation
        step = plan_credentials(_seen(tenant, credentials), rotation, now)
        if step is not None:
            credentials = await self._step_credentials(tenant, step, ring)
        status = build_credentials_status(credentials)
        if status is not None:
            report.facts["credentials"] = status
        if step is not None:
            return AT_ONCE
        former = credentials.former
        return max((former.valid_until - now).total_seconds(), AT_ONCE) if former is not None else None

    async def _step_credentials(self, tenant: Tenant, step: CredentialsStep, ring: KeyRing) -> Credentials:
        """Decided again from a live read, and written against it: two operators cannot both rotate."""
        name, now, rotation = tenant.metadata.name, self.context.now(), self.context.settings.rotation
        live = await self.context.cluster.get(ObjectKey(SECRET, CREDENTIALS_SECRET, namespace_name(tenant)))
        credentials = read_credentials(live)
        seen = _seen(tenant, credentials) if credentials is not None else None
        if live is None or credentials is None or seen is None or plan_credentials(seen, rotation, now) != step:
            raise ConflictError(f"the logins of tenant {name} were changed meanwhile; trying again")
        if step == "EndFormer":
            after = await self._end_former(tenant, credentials)
        else:
            after = credentials.rotate(make_passwords(), now, now + rotation.overlap, seen.request)
            await self.context.cache.set_user(name, after.redis_digests)
            await self.context.database.set_login(name, after)
        await self._write(tenant, live, after, ring)
        await self._tell_credentials(tenant, step, after)
        return after

    async def _end_former(self, tenant: Tenant, credentials: Credentials) -> Credentials:
        if credentials.former is not None:
            await self.context.database.end_login(tenant.metadata.name, credentials.former.slot)
        return credentials.end_former()

    async def _write(self, tenant: Tenant, live: Manifest, credentials: Credentials, ring: KeyRing) -> None:
        secret = stamp(build_credentials(tenant, credentials, ring.keys.dump(), self.context.addresses))
        version = live["metadata"]["resourceVersion"]
        await self.context.cluster.apply({**secret, "metadata": {**secret["metadata"], "resourceVersion": version}})

    async def _tell_credentials(self, tenant: Tenant, step: CredentialsStep, after: Credentials) -> None:
        if step == "EndFormer":
            message = "the logins before are refused from now on, and their sessions have ended"
            await self._tell(tenant, "PreviousCredentialsEnded", message)
        elif after.former is not None:
            until = format_time(after.former.valid_until)
            message = f"database login {after.slot} and a new cache password are in use; the ones before end {until}"
            await self._tell(tenant, "CredentialsRotated", message)

    async def _tend_keys(self, tenant: Tenant, ring: KeyRing, report: Report) -> float | None:
        seen = await self._look_at_keys(tenant, ring)
        step = plan_keys(seen, self.context.settings.rotation, self.context.now())
        if step == "Add":
            self.busy.add(tenant.metadata.uid)
        if step is not None:
            ring = await self._step_keys(tenant, step, ring, seen.request)
        if ring.outdated or ring.newest != ring.keys.active:
            self.busy.add(tenant.metadata.uid)
        else:
            self.busy.discard(tenant.metadata.uid)
        report.facts["keys"] = build_keys_status(ring, seen.born, seen.run, tenant.status.keys)
        if step is not None and step != "StartJob":
            return AT_ONCE
        return WATCHING_SECONDS if ring.outdated or ring.newest != ring.keys.active else None

    async def _look_at_keys(self, tenant: Tenant, ring: KeyRing) -> KeysSeen:
        request, born = tenant.metadata.annotations.get(ROTATE_KEYS, ""), _born(tenant, self.context.now())
        seen = KeysSeen(tenant.metadata.uid, ring, born, request)
        if not ring.outdated:
            return replace(seen, room=self._has_room())
        run = await self.context.database.fetch_rekey_run(tenant.metadata.name, ring.keys.active)
        return replace(seen, job=await self._look_at_job(tenant, ring), run=run)

    def _has_room(self) -> bool:
        """Those that an earlier process has begun are known by their status."""
        tenants = self.context.watched.tenants
        begun = {uid for uid, tenant in tenants.items() if is_reencrypting(tenant.status)} | self.busy
        return len(begun & tenants.keys()) < self.context.settings.rotation.concurrent_reencryptions

    async def _look_at_job(self, tenant: Tenant, ring: KeyRing) -> JobProgress:
        job = await self.context.cluster.get(self._job(tenant, ring))
        if job is None:
            return "Absent"
        conditions = job.get("status", {}).get("conditions") or ()
        ended = any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in conditions)
        return "Ended" if ended else "Running"

    def _job(self, tenant: Tenant, ring: KeyRing) -> ObjectKey:
        return ObjectKey(JOB, rekey_job(ring.keys.active), namespace_name(tenant))

    async def _step_keys(self, tenant: Tenant, step: KeysStep, ring: KeyRing, request: str) -> KeyRing:
        now, name = self.context.now().replace(microsecond=0), tenant.metadata.name
        match step:
            case "StartJob":
                await self._start_job(tenant, ring)
                return ring
            case "Add":
                after = ring.add(now, request)
                reason, message = "DataKeyAdded", f"data key {after.newest} is made known before it encrypts"
            case "Activate":
                after = ring.activate(now)
                reason, message = "DataKeyActivated", f"data key {after.keys.active} encrypts; content comes under it"
            case "Verify":
                return await self._verify(tenant, ring, now)
            case "Destroy":
                return await self._destroy(tenant, ring, now)
        await self.vault.replace(name, ring, after)
        await self._tell(tenant, reason, message)
        return after

    async def _start_job(self, tenant: Tenant, ring: KeyRing) -> None:
        manifest = build_rekey_job(tenant, ring.keys.active, self.context.worker)
        await self.context.cluster.create(manifest)
        log.info("re-encryption started", tenant=tenant.metadata.name, key=ring.keys.active)

    async def _verify(self, tenant: Tenant, ring: KeyRing, now: datetime) -> KeyRing:
        """Counted here, not believed: a key goes when no row names it and no older worker may write one."""
        if await self._older_worker(tenant, ring) is not None:
            return ring
        after = ring
        for key in (*ring.outdated, *ring.retired):
            after = await self._judge(tenant, after, key, now)
        if after.outdated:
            await self._remove_job(tenant, ring)
        if after != ring:
            await self.vault.replace(tenant.metadata.name, ring, after)
        if not after.outdated:
            message = f"all content is under data key {ring.keys.active}; {', '.join(ring.outdated)} kept for backups"
            await self._tell(tenant, "DataKeyRetired", message)
        return after

    async def _judge(self, tenant: Tenant, ring: KeyRing, key: str, now: datetime) -> KeyRing:
        """Retire a key that no row names; take back one that a row names after all."""
        rows = await self.context.database.count_sealed(tenant.metadata.name, key)
        if rows and key in ring.retired:
            log.warning("rows name a retired data key", tenant=tenant.metadata.name, key=key, rows=rows)
            return ring.revive(key)
        return ring if rows or key in ring.retired else ring.retire(key, now)

    async def _older_worker(self, tenant: Tenant, ring: KeyRing) -> str | None:
        """A Job that began before the key was active and still works: what it writes may be under the key before."""
        selector = f"{COMPONENT_LABEL}={WORKER_COMPONENT}"
        jobs = await self.context.cluster.list(JOB, namespace_name(tenant), selector)
        for job in jobs:
            started = job.get("status", {}).get("startTime")
            working = bool(job.get("status", {}).get("active"))
            if working and started and ring.since is not None and datetime.fromisoformat(started) < ring.since:
                return str(job["metadata"]["name"])
        return None

    async def _remove_job(self, tenant: Tenant, ring: KeyRing) -> None:
        """It ended and rows are left: the next look starts another pass."""
        key = self._job(tenant, ring)
        job = await self.context.cluster.get(key)
        if job is not None:
            await self.context.cluster.delete(key, job["metadata"]["uid"])

    async def _destroy(self, tenant: Tenant, ring: KeyRing, now: datetime) -> KeyRing:
        """The last look before nothing can be read any more."""
        key = find_expired(ring, self.context.settings.rotation, now)
        if key is None:
            return ring
        judged = await self._judge(tenant, ring, key, now)
        after = judged.destroy(key) if key in judged.retired else judged
        await self.vault.replace(tenant.metadata.name, ring, after)
        if key not in judged.keys.keys:
            await self._tell(tenant, "DataKeyDestroyed", f"data key {key}: backups from before its end cannot be read")
        return after

    async def _tell(self, tenant: Tenant, reason: str, message: str) -> None:
        log.info("rotation", tenant=tenant.metadata.name, reason=reason, message=message)
        await events.emit(self.context.cluster, tenant, "Normal", reason, message)


def _seen(tenant: Tenant, credentials: Credentials) -> CredentialsSeen:
    return CredentialsSeen(tenant.metadata.uid, credentials, tenant.metadata.annotations.get(ROTATE_CREDENTIALS, ""))


def _born(tenant: Tenant, now: datetime) -> datetime:
    created = tenant.metadata.creation_timestamp
    return datetime.fromisoformat(created) if created is not None else now
