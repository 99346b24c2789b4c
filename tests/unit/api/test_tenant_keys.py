"""What the API server makes of the two watched Secrets, whichever of them it hears of first."""

import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pytest

from dreamhub.domain.envelope import MasterKeys
from dreamhub.domain.key_ring import KeyRing
from dreamhub.errors import UnavailableError
from dreamhub_api.cluster.resources import master_keys, parse_tenant_keys, tenant_keys
from dreamhub_api.cluster.tenant_keys import TenantKeys
from dreamhub_api.cluster.watch_cache import WatchCache

if TYPE_CHECKING:
    from dreamhub_api.cluster.kubernetes import KubernetesApi

NAMESPACE = "dreamhub-system"
MASTERS, RING = MasterKeys.generate(), KeyRing.generate(datetime(2026, 1, 2, tzinfo=UTC))


def secret(name: str, version: int, **entries: str) -> dict[str, Any]:
    data = {key.replace("__", "."): base64.b64encode(text.encode()).decode() for key, text in entries.items()}
    metadata = {"name": name, "namespace": NAMESPACE, "resourceVersion": str(version)}
    return {"metadata": metadata, "data": data}


class Keys:
    """The watched Secrets, and what reads them."""

    def __init__(self) -> None:
        api = cast("KubernetesApi", self)
        self.entries = WatchCache(api, tenant_keys(NAMESPACE))
        self.masters = WatchCache(api, master_keys(NAMESPACE))
        self.tenants = TenantKeys(self.entries, self.masters, api, NAMESPACE)
        self.stored: dict[str, dict[str, Any]] = {}

    async def request(self, _: str, path: str) -> dict[str, Any]:
        return self.stored[path.rpartition("/")[2]]

    def see(self, version: int, masters: MasterKeys | None = None, **entries: str) -> None:
        if masters is not None:
            found = {"master-keys__json": masters.dump()}
            self.masters.store(secret("dreamhub-master-keys", version, **found))
        if entries:
            found = {f"{tenant}__json": text for tenant, text in entries.items()}
            self.entries.store(secret("dreamhub-tenant-keys", version, **found))


def test_unreadable_keys_lock_out_their_tenant_only() -> None:
    keys = Keys()
    keys.see(1, MASTERS, acme=MASTERS.wrap("acme", RING.dump()), plain=RING.keys.dump(), broken="{}")
    assert keys.tenants.find("acme") == keys.tenants.find("plain") == RING.keys
    assert keys.tenants.find("absent") is None
    with pytest.raises(UnavailableError, match="data keys of tenant broken cannot be read"):
        keys.tenants.find("broken")
    assert parse_tenant_keys({"data": {"worse.json": "!!", "README": ""}}) == {}


def test_an_entry_that_is_ahead_of_its_master_key_is_waited_for() -> None:
    keys, rotated = Keys(), MASTERS.rotate()
    keys.see(1, MASTERS, acme=MASTERS.wrap("acme", RING.dump()))
    assert keys.tenants.find("acme") == RING.keys
    newer = RING.add(datetime(2026, 2, 2, tzinfo=UTC), "")
    keys.see(2, acme=rotated.wrap("acme", newer.dump()))
    assert keys.tenants.find("acme") == RING.keys, "what is known serves on"
    keys.see(3, rotated)
    assert keys.tenants.find("acme") == newer.keys
    keys.see(4, MasterKeys.generate())
    assert keys.tenants.find("acme") == newer.keys, "a lost master key takes nothing away from who has read it"


def test_unreadable_master_keys_leave_the_known_ones() -> None:
    keys = Keys()
    keys.see(1, MASTERS, acme=MASTERS.wrap("acme", RING.dump()))
    keys.masters.store(secret("dreamhub-master-keys", 2, **{"master-keys__json": "{}"}))
    keys.see(3, acme=MASTERS.wrap("acme", RING.dump()))
    assert keys.tenants.find("acme") == RING.keys


async def test_rereading_does_not_wait_for_the_watch() -> None:
    keys = Keys()
    newer = RING.add(datetime(2026, 2, 2, tzinfo=UTC), "").activate(datetime(2026, 2, 2, tzinfo=UTC))
    keys.see(1, MASTERS, acme=MASTERS.wrap("acme", RING.dump()))
    keys.stored = {
        "dreamhub-master-keys": secret("dreamhub-master-keys", 2, **{"master-keys__json": MASTERS.dump()}),
        "dreamhub-tenant-keys": secret("dreamhub-tenant-keys", 2, acme__json=MASTERS.wrap("acme", newer.dump())),
    }
    await keys.tenants.reread()
    assert keys.tenants.find("acme") == newer.keys


def test_the_api_reads_what_a_retired_key_has_written() -> None:
    now = datetime(2026, 2, 2, tzinfo=UTC)
    ring = RING.add(now, "").activate(now).retire("1", now)
    keys = Keys()
    keys.see(1, MASTERS, acme=MASTERS.wrap("acme", ring.dump()))
    found = keys.tenants.find("acme")
    assert found is not None
    assert found.decrypt(RING.keys.encrypt(b"text", b""), b"") == b"text"
