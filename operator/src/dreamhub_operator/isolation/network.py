"""Connections between pods of two tenants, and from a tenant's pod to what is for the platform alone.

Each namespace gets a listener and a connector. From pod to pod both tenants' policies stand in the way; the operator's
own attempt meets the wall around the listener alone, and a connector's attempts on the operator and on the Kubernetes
API meet the wall around the connector alone.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from dreamhub.crd.tenant import Tenant
from dreamhub.errors import DreamHubError, UnavailableError
from dreamhub.names import namespace
from dreamhub_operator.cluster import Cluster, key_of
from dreamhub_operator.desired.job import WorkerTemplate
from dreamhub_operator.isolation.network_jobs import (
    PORT,
    PROBE_LABEL,
    PodSight,
    Target,
    build_connector,
    build_listener,
    is_allowed,
    judge,
    read_pod,
    read_results,
)
from dreamhub_operator.isolation.outcome import Blocked, Leaked, Outcome, Probe, undecided
from dreamhub_operator.kinds import POD, Manifest
from dreamhub_operator.settings import EgressRule

STAGE_SECONDS = 30.0
"""For two pods to come up, and for two to come to an end: together with the Jobs' own deadline it bounds a round."""
POLL_SECONDS = 0.5
CONNECT_SECONDS = 3.0


@dataclass(frozen=True)
class NetworkProbe:
    """`platform` holds what no tenant's pod may reach, `control` what each must."""

    cluster: Cluster
    worker: WorkerTemplate
    control: Target
    platform: Sequence[Target]
    egress: Sequence[EgressRule] = ()
    _round: str = field(default_factory=lambda: secrets.token_hex(4))

    async def run(self, tenants: tuple[Tenant, Tenant]) -> list[Probe]:
        """Attempts in both directions."""
        probes: list[Probe] = []
        try:
            async with self._jobs() as create:
                await self._attack(tenants, create, probes)
        except DreamHubError as error:
            probes += undecided("network", f"pods of {tenants[0].metadata.name}", error.message)
        return probes

    @contextlib.asynccontextmanager
    async def _jobs(self) -> AsyncIterator[Callable[[Manifest], asyncio.Task[Manifest]]]:
        """Creates Jobs, and deletes at the end what it created. What a crash leaves behind ends by itself."""
        created: list[asyncio.Task[Manifest]] = []

        def create(manifest: Manifest) -> asyncio.Task[Manifest]:
            created.append(asyncio.create_task(self.cluster.create(manifest)))
            return created[-1]

        try:
            yield create
        finally:
            answers = await asyncio.gather(*created, return_exceptions=True)
            for body in answers:
                if isinstance(body, dict):
                    await self._delete(body)

    async def _delete(self, body: Manifest) -> None:
        """One that cannot be deleted now goes when its time is over."""
        with contextlib.suppress(DreamHubError):
            await self.cluster.delete(key_of(body), body["metadata"]["uid"])

    async def _attack(
        self,
        tenants: tuple[Tenant, Tenant],
        create: Callable[[Manifest], asyncio.Task[Manifest]],
        probes: list[Probe],
    ) -> None:
        names = [tenant.metadata.name for tenant in tenants]
        await asyncio.gather(*(create(build_listener(name, self._round, self.worker)) for name in names))
        listeners = [await self._wait(name, "target", lambda pod: pod.ready) for name in names]
        targets = [Target(f"a pod of {name}", pod.ip, PORT) for name, pod in zip(names, listeners, strict=True)]
        for target in targets:
            self._add(probes, f"operator to {target.name}", await _connect(target))
        aims = {
            name: [target, *self._aims(tenant)]
            for name, tenant, target in zip(names, tenants, targets[::-1], strict=True)
        }
        await asyncio.gather(
            *(create(build_connector(name, self._round, self.worker, self.control, aims[name])) for name in names)
        )
        for name in names:
            ended = await self._wait(name, "connect", lambda pod: pod.message is not None)
            results = read_results(ended.message or "")
            for target in aims[name]:
                self._add(probes, f"pod of {name} to {target.name}", judge(results, self.control, target))
        for name in names:
            await self._wait(name, "target", lambda pod: pod.ready)

    def _aims(self, tenant: Tenant) -> list[Target]:
        return [target for target in self.platform if not is_allowed(target, tenant.spec, self.egress)]

    def _add(self, probes: list[Probe], name: str, outcome: Outcome) -> None:
        probes.append(Probe("network", name, outcome))

    async def _wait(self, tenant: str, part: str, done: Callable[[PodSight], bool]) -> PodSight:
        """The pod of one of this round's Jobs once it is as wanted. Raises UnavailableError when it takes too long."""
        seen: PodSight | None = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STAGE_SECONDS):
                while True:
                    seen = await self._look(tenant, part)
                    if seen is not None and done(seen):
                        return seen
                    await asyncio.sleep(POLL_SECONDS)
        state = (
            "there is none; the namespace's quota may be used up" if seen is None else f"{seen.phase} {seen.waiting}"
        )
        raise UnavailableError(f"the {part} pod of the probe in {namespace(tenant)} did not do its part: {state}")

    async def _look(self, tenant: str, part: str) -> PodSight | None:
        pods = await self.cluster.list(POD, namespace(tenant), f"{PROBE_LABEL}={self._round}")
        wanted = f"dreamhub-probe-{self._round}-{part}"
        return next((read_pod(pod) for pod in pods if pod["metadata"]["name"].startswith(wanted)), None)


async def _connect(target: Target) -> Outcome:
    """From this process. Everything but an open connection is a wall: the kubelet has just reached the target."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(target.host, target.port)
    except (TimeoutError, OSError):
        return Blocked()
    writer.close()
    return Leaked(f"a connection to {target.address} was opened")
