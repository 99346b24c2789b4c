"""The Tenant that exists to be attacked, and to attack: with a namespace, logins, rows, a key and an object.

Made and kept by the operator. Nobody's data is in it, so a probe may go as far as to delete.
"""

import asyncio
import time

import aiohttp
from redis.asyncio import Redis

from dreamhub.crd.tenant import Tenant
from dreamhub.domain.conditions import is_true
from dreamhub.errors import ConflictError, UnavailableError
from dreamhub.names import API_GROUP, API_VERSION, CANARY_TENANT, redis_prefix
from dreamhub.storage.redis_failures import translate_failures
from dreamhub_operator.cluster import Cluster
from dreamhub_operator.desired.ownership import MANAGED_BY
from dreamhub_operator.isolation.redis import PROBE_KEY, SECONDS
from dreamhub_operator.kinds import TENANT, Manifest
from dreamhub_operator.watched import Watched

DOCUMENT_NAME = "canary.txt"
DOCUMENT_TEXT = b"This document belongs to nobody. Whoever else finds it has found a hole in a wall.\n"

WAIT_SECONDS = 30.0
POLL_SECONDS = 0.5

_TIMEOUT = aiohttp.ClientTimeout(total=20)


def build_canary() -> Manifest:
    """A small tenant. Its quota lets the pods of several rounds run side by side."""
    return {
        "apiVersion": f"{API_GROUP}/{API_VERSION}",
        "kind": TENANT.name,
        "metadata": {"name": CANARY_TENANT, "labels": MANAGED_BY},
        "spec": {
            "displayName": "Canary: what isolation probes attack",
            "deletionPolicy": "Erase",
            "resources": {
                "requests": {"cpu": "200m", "memory": "384Mi"},
                "limits": {"cpu": "2", "memory": "1Gi"},
            },
        },
    }


async def find_canary(cluster: Cluster, watched: Watched) -> Tenant:
    """The canary, which is made when it is absent, and waited for. Raises UnavailableError when it cannot be used."""
    if _known(watched) is None:
        await ensure_canary(cluster)
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        tenant = _known(watched)
        fault = find_fault(tenant)
        if tenant is not None and fault is None:
            return tenant
        if time.monotonic() >= deadline:
            raise UnavailableError(f"Tenant {CANARY_TENANT} {fault}")
        await asyncio.sleep(POLL_SECONDS)


def find_fault(tenant: Tenant | None) -> str | None:
    """Why the canary cannot be used; None when it can."""
    if tenant is None:
        return "is being made"
    if tenant.metadata.deletion_timestamp is not None:
        return "is being deleted; it will be made again"
    return None if is_true(tenant.status.conditions, "Ready") else "is not ready"


def _known(watched: Watched) -> Tenant | None:
    return watched.tenants.get(watched.tenant_uids.get(CANARY_TENANT, ""))


async def ensure_canary(cluster: Cluster) -> None:
    try:
        await cluster.create(build_canary())
    except ConflictError:
        return  # it is there; the watch will show it


async def plant_document(session: aiohttp.ClientSession, api_url: str, token: str) -> None:
    """Upload the canary's document, as its owner would. The same name and bytes make no second one."""
    url = f"{api_url}/api/v1/documents?name={DOCUMENT_NAME}"
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "text/plain"}
    try:
        async with session.post(url, data=DOCUMENT_TEXT, headers=headers, timeout=_TIMEOUT) as response:
            if response.status not in {200, 201}:
                raise UnavailableError(f"the API did not take the canary's document ({response.status})")
    except (aiohttp.ClientError, TimeoutError) as error:
        raise UnavailableError(f"the API does not answer ({type(error).__name__})") from error


async def plant_key(redis_url: str) -> None:
    """What a foreign login would read if it could."""
    key = f"{redis_prefix(CANARY_TENANT)}{PROBE_KEY}"
    async with Redis.from_url(redis_url, socket_timeout=SECONDS, socket_connect_timeout=SECONDS) as client:
        with translate_failures():
            await client.hset(key, "value", "planted")
