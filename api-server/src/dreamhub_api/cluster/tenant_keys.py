"""The tenants' data keys, unwrapped as they are asked for from the two Secrets that are watched."""

import structlog

from dreamhub import names
from dreamhub.domain.envelope import MasterKeys
from dreamhub.domain.key_ring import KeyRing
from dreamhub.domain.keys import DataKeys
from dreamhub.errors import BugError, InvalidInputError, UnavailableError
from dreamhub_api.cluster.kubernetes import KubernetesApi
from dreamhub_api.cluster.resources import secret_path
from dreamhub_api.cluster.watch_cache import WatchCache

_log = structlog.get_logger(__name__)


class TenantKeys:
    """Watches of two objects have no common order: an entry may be known before the master key that has wrapped it.

    So what was unwrapped last serves on until the new entry can be.
    """

    def __init__(
        self, entries: WatchCache[dict[str, str]], masters: WatchCache[MasterKeys], api: KubernetesApi, namespace: str
    ) -> None:
        self._entries = entries
        self._masters = masters
        self._api = api
        self._namespace = namespace
        self._known: dict[str, tuple[str, DataKeys]] = {}
        """By tenant: the entry, and what was in it."""
        self._refused: dict[str, str] = {}
        """Entries that could not be read, so that each is told once."""

    def find(self, tenant: str) -> DataKeys | None:
        """None while there are none yet. Raises UnavailableError `MasterKeyMissing` for keys that cannot be read."""
        entry = (self._entries.get((self._namespace, names.KEYS_SECRET)) or {}).get(tenant)
        if entry is None:
            self._known.pop(tenant, None)
            return None
        known = self._known.get(tenant)
        if known is not None and known[0] == entry:
            return known[1]
        keys = self._read(tenant, entry)
        if keys is not None:
            self._known[tenant] = entry, keys
            return keys
        if known is not None:
            return known[1]
        raise UnavailableError(
            f"the data keys of tenant {tenant} cannot be read; the operator's log and the Tenant's conditions tell why",
            code="MasterKeyMissing",
        )

    def _read(self, tenant: str, entry: str) -> DataKeys | None:
        masters = self._masters.get((self._namespace, names.MASTER_KEYS_SECRET))
        try:
            plain = masters.unwrap(tenant, entry) if masters is not None else entry
            return KeyRing.parse(plain).readable()
        except (InvalidInputError, BugError) as error:
            if self._refused.get(tenant) != entry:
                self._refused[tenant] = entry
                _log.warning("a tenant's data keys cannot be read", tenant=tenant, code=error.code, error=error.message)
            return None

    async def reread(self) -> None:
        """Not waiting for the watches: a ciphertext has named a key that is not known here."""
        for cache, name in ((self._masters, names.MASTER_KEYS_SECRET), (self._entries, names.KEYS_SECRET)):
            cache.store(await self._api.request("GET", secret_path(self._namespace, name)))
