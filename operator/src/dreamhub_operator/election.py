"""One active operator: a Lease that the active one renews and the others watch.

The holder acts only while its last renewal is young by its own monotonic clock, and lets go before anybody else may
take over. `kubernetes.aio` has an election, but it compares wall clocks, writes local time as UTC, goes on leading when
the led work has died and never lets go at a normal end.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from dreamhub.errors import ConflictError, DreamHubError, TransientError
from dreamhub_operator.cluster import Cluster, ObjectKey
from dreamhub_operator.kinds import LEASE, Manifest

LEASE_NAME = "dreamhub-operator"

log = structlog.get_logger()


class LeaseLostError(TransientError):
    """Another process may be active from now on: this one must end at once."""

    default_code = "LeaseLost"


@dataclass(frozen=True, slots=True)
class Term:
    """Times of the election, in seconds. The order of the three keeps two holders from overlapping."""

    lease: float

    @property
    def retry(self) -> float:
        return self.lease / 7.5

    @property
    def deadline(self) -> float:
        """Without a renewal for so long, the holder stops."""
        return self.lease * 2 / 3


def build_lease(live: Manifest | None, identity: str, namespace: str, seconds: int, now: datetime) -> Manifest:
    """The Lease as its new holder writes it; each change of holder counts as a transition."""
    moment = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = (live or {}).get("spec", {})
    same = spec.get("holderIdentity") == identity
    metadata = live["metadata"] if live is not None else {"name": LEASE_NAME, "namespace": namespace}
    return {
        "apiVersion": LEASE.api_version,
        "kind": LEASE.name,
        "metadata": {key: value for key, value in metadata.items() if key != "managedFields"},
        "spec": {
            "holderIdentity": identity,
            "leaseDurationSeconds": seconds,
            "acquireTime": spec["acquireTime"] if same and "acquireTime" in spec else moment,
            "renewTime": moment,
            "leaseTransitions": spec.get("leaseTransitions", 0) + (0 if same or live is None else 1),
        },
    }


@dataclass
class Election:
    """Wait with `acquire`, then run `hold` beside the work: it raises LeaseLostError when the work must end."""

    cluster: Cluster
    identity: str
    namespace: str
    seconds: int
    clock: Callable[[], float] = time.monotonic
    epoch: int = 0
    """Transitions of the Lease when this process took it: grows with each new holder."""
    _renewed_at: float = field(default=float("-inf"))
    _held: Manifest | None = None
    """The Lease as this process wrote it last."""
    _observed: tuple[str, str] = ("", "")
    _observed_at: float = field(default=float("-inf"))

    @property
    def term(self) -> Term:
        return Term(self.seconds)

    @property
    def _key(self) -> ObjectKey:
        return ObjectKey(LEASE, LEASE_NAME, self.namespace)

    async def acquire(self) -> None:
        """Return when this process holds the Lease."""
        await self._try_until_taken()
        log.info("leading", identity=self.identity, epoch=self.epoch)

    async def hold(self) -> None:
        """Renew for ever. Raises LeaseLostError when that was not possible in time."""
        while True:
            await asyncio.sleep(self.term.retry)
            try:
                async with asyncio.timeout(max(self._renewed_at + self.term.deadline - self.clock(), 0)):
                    await self._try_until_taken()
            except TimeoutError:
                raise LeaseLostError(f"the Lease {LEASE_NAME} could not be renewed in time; stopping") from None

    async def _try_until_taken(self) -> None:
        while True:
            next_try = self.clock() + self.term.retry
            if await self._try():
                return
            await asyncio.sleep(next_try - self.clock())

    async def release(self) -> None:
        """At a normal end: let another take over at once instead of after the Lease has run out."""
        try:
            live = await self.cluster.get(self._key)
            if live is not None and live["spec"].get("holderIdentity") == self.identity:
                live["spec"] |= {"holderIdentity": "", "renewTime": None}
                await self.cluster.replace({**live, "apiVersion": LEASE.api_version, "kind": LEASE.name})
        except DreamHubError as error:
            log.warning("lease not released; it runs out by itself", error=error.message)

    async def _try(self) -> bool:
        """Take or renew. The resourceVersion lets only one of several candidates succeed."""
        started = self.clock()
        patience = self._find_patience(started)
        try:
            async with asyncio.timeout(patience):
                answer = await self._renew() or await self._take()
        except TimeoutError:
            log.warning("lease not renewed", error=f"no answer within {patience:.1f} s")
            return False
        except ConflictError:
            return False
        except DreamHubError as error:
            log.warning("lease not renewed", error=error.message)
            return False
        if answer is None:
            return False
        self._held, self._renewed_at = answer, started
        self.epoch = answer["spec"].get("leaseTransitions", 0)
        return True

    def _find_patience(self, now: float) -> float:
        """Half of what is left: a slow answer is waited for, and after one that never comes others still fit."""
        left = min(self._renewed_at + self.term.deadline - now, self.term.deadline)
        return (left if left > 0 else self.term.deadline) / 2

    async def _renew(self) -> Manifest | None:
        """By one request, when this process wrote the Lease last; None when that is not so, or not any more."""
        held, self._held = self._held, None
        if held is None:
            return None
        try:
            return await self.cluster.replace(self._build(held))
        except ConflictError:
            return None

    async def _take(self) -> Manifest | None:
        live = await self.cluster.get(self._key)
        if live is not None and not self._may_take(live["spec"]):
            return None
        lease = self._build(live)
        return await (self.cluster.create(lease) if live is None else self.cluster.replace(lease))

    def _build(self, live: Manifest | None) -> Manifest:
        return build_lease(live, self.identity, self.namespace, self.seconds, datetime.now(UTC))

    def _may_take(self, spec: Manifest) -> bool:
        """Ours, free, or unchanged for its whole duration by our own clock (nobody's wall clock is trusted)."""
        holder = spec.get("holderIdentity") or ""
        if holder in ("", self.identity):
            return True
        seen = (holder, str(spec.get("renewTime")))
        if seen != self._observed:
            self._observed, self._observed_at = seen, self.clock()
            return False
        duration = float(spec.get("leaseDurationSeconds", self.seconds))
        return self.clock() - self._observed_at > duration
