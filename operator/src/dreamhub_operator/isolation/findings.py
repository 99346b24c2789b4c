"""What a Tenant's status says of its walls. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from dreamhub.crd.tenant import IsolationStatus, Tenant, TenantCondition, TenantReason
from dreamhub.domain.conditions import Status
from dreamhub_operator.isolation.outcome import Tally
from dreamhub_operator.isolation.schedule import REQUEST_ANNOTATION

CONDITION = "IsolationVerified"
FRESH_INTERVALS = 2
"""A verification counts for so many intervals, so that a server that is away for an hour takes no True away."""

_LENGTH = 1024
_DETAIL_LENGTH = 700


@dataclass(frozen=True, slots=True)
class Round:
    """A round that has ended."""

    tally: Tally
    peer: str
    request: str
    """The value of the annotation that it answered."""
    ended: datetime

    @property
    def is_conclusive(self) -> bool:
        return self.tally.verdict != "Inconclusive"

    @property
    def isolation(self) -> IsolationStatus:
        """What it leaves in the status, when it proved something."""
        return IsolationStatus(
            checked_time=self.ended,
            peer=self.peer,
            probes=self.tally.probes,
            failed=self.tally.failed,
            first_failure=self.tally.detail[:_DETAIL_LENGTH] if self.tally.failed else "",
            request=self.request,
        )


def build_finding(tenant: Tenant, done: Round | None, interval: timedelta, now: datetime) -> TenantCondition | None:
    """The condition, or None to leave it as it is. `done` is the latest round of this process, if there was one.

    A round that proved nothing takes nothing back: neither a leak, which only a complete round unsays, nor, as long as
    it is fresh, the proof of an earlier round.
    """
    if done is not None and done.tally.verdict == "Verified" and _is_fresh(done.isolation, interval, now):
        message = f"{done.tally.probes} attempts against and by Tenant {done.peer} were all refused"
        return _condition(tenant, "True", TenantReason.ISOLATION_VERIFIED, message, now)
    if done is not None and done.tally.verdict == "Failed":
        return _condition(tenant, "False", TenantReason.PROBE_FAILED, _failed(tenant, done.tally), now)
    known = tenant.status.isolation
    if known is not None and (known.failed or _is_fresh(known, interval, now)):
        return None
    if done is None and known is None:
        return _condition(tenant, "Unknown", TenantReason.NOT_PROBED, "the first verification has not ended yet", now)
    why = done.tally.detail if done is not None else "no round has ended since then"
    return _condition(tenant, "Unknown", TenantReason.PROBES_INCONCLUSIVE, _unknown(known, why), now)


def build_unprobed(tenant: Tenant, why: str, now: datetime) -> TenantCondition:
    """For a tenant that no round is run for."""
    return _condition(tenant, "Unknown", TenantReason.NOT_PROBED, why, now)


def _is_fresh(known: IsolationStatus, interval: timedelta, now: datetime) -> bool:
    return known.checked_time is not None and now - known.checked_time <= FRESH_INTERVALS * interval


def _failed(tenant: Tenant, tally: Tally) -> str:
    return (
        f"{tally.failed} of {tally.probes} attempts got through a wall; new IngestJobs wait until none does. "
        f"The first: {tally.detail[:_DETAIL_LENGTH]}. Mend it, then ask for another look: "
        f"kubectl annotate tenant {tenant.metadata.name} {REQUEST_ANNOTATION}=again --overwrite"
    )


def _unknown(known: IsolationStatus | None, why: str) -> str:
    last = known.checked_time if known is not None else None
    since = f"last verified {last:%Y-%m-%d %H:%M} UTC; since then" if last is not None else "not verified yet"
    return f"{since}: {why}; it is tried again by itself"


def _condition(tenant: Tenant, status: Status, reason: TenantReason, message: str, now: datetime) -> TenantCondition:
    return TenantCondition(
        type=CONDITION,
        status=status,
        reason=reason,
        message=message[:_LENGTH],
        observed_generation=tenant.metadata.generation,
        last_transition_time=now,
    )
