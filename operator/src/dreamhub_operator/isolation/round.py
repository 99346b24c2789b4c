"""One round: everything that a tenant's own logins can try on the canary, and the canary's on the tenant."""

import asyncio
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import aiohttp

from dreamhub.crd.tenant import Tenant
from dreamhub.names import CANARY_TENANT
from dreamhub_operator.context import Context
from dreamhub_operator.isolation.api import probe_api
from dreamhub_operator.isolation.canary import find_canary, plant_document, plant_key
from dreamhub_operator.isolation.network import NetworkProbe
from dreamhub_operator.isolation.network_jobs import Target
from dreamhub_operator.isolation.outcome import Probe
from dreamhub_operator.isolation.redis import probe_redis
from dreamhub_operator.isolation.s3 import probe_s3
from dreamhub_operator.isolation.side import Side
from dreamhub_operator.isolation.sides import fetch_document, fetch_side
from dreamhub_operator.isolation.sql import probe_sql


@dataclass(frozen=True)
class RoundRunner:
    """`kubernetes` is the URL of the Kubernetes API, which no tenant's pod may reach either."""

    context: Context
    kubernetes: str

    async def run(self, tenant: Tenant) -> list[Probe]:
        """Raises DreamHubError when the round cannot even begin."""
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            return await self._run(tenant, session)

    async def _run(self, tenant: Tenant, session: aiohttp.ClientSession) -> list[Probe]:
        canary = await find_canary(self.context.cluster, self.context.watched)
        own, other = await self._fetch(tenant), await self._fetch(canary)
        await plant_key(other.redis_url)
        await plant_document(session, self._api_url, other.token)
        sides = await self._with_document(own), await self._with_document(other)
        network = asyncio.create_task(self._network().run((tenant, canary)))
        try:
            probes = await self._attack(session, *sides)
            probes += await self._attack(session, *sides[::-1])
            return [*probes, *await network]
        finally:
            network.cancel()
            await asyncio.gather(network, return_exceptions=True)

    @property
    def _api_url(self) -> str:
        return self.context.settings.isolation.api_url.rstrip("/")

    async def _fetch(self, tenant: Tenant) -> Side:
        return await fetch_side(self.context.cluster, self.context.watched, tenant)

    async def _with_document(self, side: Side) -> Side:
        document, version = await fetch_document(side)
        return replace(side, document=document, version=version)

    async def _attack(self, session: aiohttp.ClientSession, attacker: Side, victim: Side) -> list[Probe]:
        return [
            *await probe_sql(attacker, victim),
            *await probe_redis(attacker, victim),
            *await probe_s3(self.context.objects, session, attacker, victim),
            *await probe_api(self._api_url, session, attacker, victim),
        ]

    def _network(self) -> NetworkProbe:
        settings = self.context.settings
        platform = [Target("the operator", settings.pod_ip, settings.metrics_port)]
        platform.append(find_kubernetes(self.kubernetes))
        return NetworkProbe(
            cluster=self.context.cluster,
            worker=self.context.worker,
            control=find_database(settings.tenant_database_address),
            platform=[target for target in platform if target.host],
            egress=settings.egress,
        )


def find_kubernetes(url: str) -> Target:
    """The API server by the address that pods are given. A name is not tried: pods may not know it."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    numeric = ":" in host or host.replace(".", "").isdigit()
    return Target("the Kubernetes API", host if numeric else "", parts.port or 443)


def find_database(address: str) -> Target:
    """The control: `host:port/database` is what each worker reaches first."""
    parts = urlsplit(f"//{address}")
    return Target("the database", parts.hostname or "", parts.port or 5432)


def is_canary(tenant: Tenant) -> bool:
    return tenant.metadata.name == CANARY_TENANT
