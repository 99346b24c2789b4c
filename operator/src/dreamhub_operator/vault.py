"""The tenants' data keys in the system namespace: one Secret, one entry a tenant."""

import base64

from dreamhub.names import KEYS_SECRET
from dreamhub_operator.cluster import Cluster, ObjectKey
from dreamhub_operator.desired.credentials import read_entry
from dreamhub_operator.desired.ownership import MANAGED_BY
from dreamhub_operator.kinds import SECRET, Manifest


class KeyVault:
    """Raises ConflictError when two writers meet: the loser reads again, so that no key is ever overwritten unseen."""

    def __init__(self, cluster: Cluster, system_namespace: str) -> None:
        self._cluster = cluster
        self._key = ObjectKey(SECRET, KEYS_SECRET, system_namespace)

    async def read(self, tenant: str) -> str | None:
        return read_entry(await self._fetch(), _entry(tenant))

    async def store(self, tenant: str, keys: str) -> None:
        """Add the entry. One that is there already is never replaced: the next round reads it."""
        secret = await self._fetch()
        if read_entry(secret, _entry(tenant)) is None:
            await self._patch(secret, {_entry(tenant): base64.b64encode(keys.encode()).decode()})

    async def destroy(self, tenant: str) -> None:
        """Remove the entry: from then on nobody reads what it encrypted."""
        secret = await self._fetch()
        if _entry(tenant) in (secret.get("data") or {}):
            await self._patch(secret, {_entry(tenant): None})

    async def _fetch(self) -> Manifest:
        """The Secret. Made here when absent, and not by the chart, so that no uninstall takes the keys with it."""
        secret = await self._cluster.get(self._key)
        if secret is not None:
            return secret
        metadata = {"name": self._key.name, "namespace": self._key.namespace, "labels": MANAGED_BY}
        return await self._cluster.create(
            {"apiVersion": SECRET.api_version, "kind": SECRET.name, "metadata": metadata, "type": "Opaque"}
        )

    async def _patch(self, secret: Manifest, entries: dict[str, str | None]) -> None:
        version = secret["metadata"]["resourceVersion"]
        await self._cluster.patch(self._key, {"metadata": {"resourceVersion": version}, "data": entries})


def _entry(tenant: str) -> str:
    return f"{tenant}.json"
