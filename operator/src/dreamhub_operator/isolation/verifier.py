"""Runs rounds beside the reconciles, few at a time, and keeps what each came to until the status has it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import structlog

from dreamhub.crd.tenant import Tenant
from dreamhub.errors import DreamHubError
from dreamhub.names import CANARY_TENANT
from dreamhub_operator.context import Context
from dreamhub_operator.isolation.canary import ensure_canary
from dreamhub_operator.isolation.findings import Round
from dreamhub_operator.isolation.outcome import Leaked, Probe, Tally, describe, tally, undecided
from dreamhub_operator.isolation.schedule import History, requested, seconds_until_due
from dreamhub_operator.queue import WorkQueue

WORKERS = 2
"""Rounds at a time: each has up to four small pods."""
ROUND_SECONDS = 180.0

log = structlog.get_logger()

RunRound = Callable[[Tenant], Awaitable[Sequence[Probe]]]


@dataclass
class Verifier:
    """`wake` is called with a tenant's UID when a round of it has ended."""

    context: Context
    run_round: RunRound
    wake: Callable[[str], None]
    _histories: dict[str, History] = field(default_factory=dict)
    _rounds: dict[str, Round] = field(default_factory=dict)
    _begun: set[str] = field(default_factory=set)
    """UIDs whose round has been asked for and has not ended: looks come more often than rounds end."""
    _queue: WorkQueue[str] = field(init=False)

    def __post_init__(self) -> None:
        self._queue = WorkQueue(self._verify, WORKERS)

    async def run(self) -> None:
        """Work until cancelled. The canary comes first, so that it is ready when the first tenant is."""
        if self.context.settings.isolation.enabled:
            try:
                await ensure_canary(self.context.cluster)
            except DreamHubError as error:
                log.warning("canary not made yet; the first round will", error=error.message)
        await self._queue.run()

    def consider(self, tenant: Tenant) -> float:
        """Begin a round when one is due; seconds until the next is."""
        now, uid = self.context.now(), tenant.metadata.uid
        history = self._histories.setdefault(uid, History(now))
        left = seconds_until_due(self._up_to_date(tenant), history, self.context.settings.isolation.interval, now)
        if left <= 0 and uid not in self._begun:
            self._begun.add(uid)
            self._queue.add(uid)
        return max(left, 1.0)

    def latest(self, tenant: Tenant) -> Round | None:
        """What the latest round of this process came to."""
        return self._rounds.get(tenant.metadata.uid)

    def _up_to_date(self, tenant: Tenant) -> Tenant:
        """With the newest round as its status will show it: the write may be still to come."""
        done = self._rounds.get(tenant.metadata.uid)
        if done is None or not done.is_conclusive:
            return tenant
        return tenant.model_copy(update={"status": tenant.status.model_copy(update={"isolation": done.isolation})})

    async def _verify(self, uid: str) -> None:
        tenant = self._find(uid)
        if tenant is not None:
            probes = await self._try(tenant)
            self._keep(tenant, probes, self.context.now())
        self._begun.discard(uid)
        if self._find(uid) is None:
            self._histories.pop(uid, None)
            self._rounds.pop(uid, None)
        else:
            self.wake(uid)

    def _find(self, uid: str) -> Tenant | None:
        """The tenant, unless it is gone or going."""
        tenant = self.context.watched.tenants.get(uid)
        return tenant if tenant is not None and tenant.metadata.deletion_timestamp is None else None

    async def _try(self, tenant: Tenant) -> Sequence[Probe]:
        name = f"a round of {tenant.metadata.name}"
        try:
            async with asyncio.timeout(ROUND_SECONDS):
                return await self.run_round(tenant)
        except TimeoutError:
            return undecided("network", name, f"it took longer than {ROUND_SECONDS:.0f} s")
        except DreamHubError as error:
            return undecided("network", name, error.message)
        except Exception:
            log.exception("isolation round failed", tenant=tenant.metadata.name)
            return undecided("network", name, "of an error of the operator's own; its log tells more")

    def _keep(self, tenant: Tenant, probes: Sequence[Probe], now: datetime) -> None:
        uid, found = tenant.metadata.uid, tally(probes)
        history = self._histories.get(uid, History(now))
        tries = history.tries + 1 if found.verdict == "Inconclusive" else 0
        self._histories[uid] = replace(history, tries=tries, tried_at=now, request=requested(tenant))
        self._rounds[uid] = Round(found, CANARY_TENANT, requested(tenant), now)
        self.context.metrics.isolation.count_failures(found.failed_by_family)
        _report(tenant, probes, found)


def _report(tenant: Tenant, probes: Sequence[Probe], found: Tally) -> None:
    name = tenant.metadata.name
    for probe in probes:
        if isinstance(probe.outcome, Leaked):
            log.error("isolation probe got through", tenant=name, probe=describe(probe))
    log.info("isolation round", tenant=name, verdict=found.verdict, probes=found.probes, detail=found.detail)
