"""Data keys under master keys: wrapped at the first look, re-wrapped at once, and never destroyed for want of a key."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from dreamhub.domain.envelope import MasterKeys, is_wrapped
from dreamhub.domain.key_ring import KeyRing
from dreamhub.errors import ConflictError, InvalidInputError, UnavailableError
from dreamhub_operator import master_keys, vault
from dreamhub_operator.cluster import Cluster, ObjectKey
from dreamhub_operator.kinds import SECRET
from dreamhub_operator.master_keys import MasterKeyStore
from dreamhub_operator.rotation.settings import Rotation
from dreamhub_operator.shared_secret import SharedSecret
from dreamhub_operator.vault import KeyVault

KEYS, MASTERS = "dreamhub-tenant-keys", "dreamhub-master-keys"
START = datetime(2026, 1, 2, tzinfo=UTC)
RING = KeyRing.generate(START)


def encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class Secrets:
    """The API server's side."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, Any]] = {}
        self.patches: list[str] = []

    def put(self, name: str, data: Mapping[str, str], **metadata: Any) -> None:
        values = {"name": name, "resourceVersion": "1", **metadata}
        self.found[name] = {"metadata": values, "data": {key: encode(text) for key, text in data.items()}}

    async def get(self, key: ObjectKey) -> dict[str, Any] | None:
        return self.found.get(key.name)

    async def create(self, manifest: dict[str, Any]) -> dict[str, Any]:
        name = manifest["metadata"]["name"]
        self.found[name] = {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": "1"}}
        return self.found[name]

    async def patch(self, key: ObjectKey, changes: dict[str, Any]) -> dict[str, Any]:
        self.patches.append(key.name)
        before = self.found[key.name]
        metadata = {**before["metadata"], "resourceVersion": str(int(before["metadata"]["resourceVersion"]) + 1)}
        metadata["annotations"] = {
            **before["metadata"].get("annotations", {}),
            **changes["metadata"].get("annotations", {}),
        }
        data = {**(before.get("data") or {}), **changes["data"]}
        data = {name: text for name, text in data.items() if text is not None}
        self.found[key.name] = {**before, "metadata": metadata, "data": data}
        return self.found[key.name]

    def entry(self, name: str) -> str:
        return base64.b64decode(self.found[KEYS]["data"][name]).decode()

    def masters(self) -> MasterKeys:
        return MasterKeys.parse(base64.b64decode(self.found[MASTERS]["data"]["master-keys.json"]).decode())


class Rig:
    def __init__(self, rotation: Rotation | None = None) -> None:
        self.secrets = Secrets()
        self.now = START
        cluster = cast("Cluster", self.secrets)
        store = MasterKeyStore(cluster, "system", rotation or Rotation(), lambda: self.now)
        self.vault = KeyVault(SharedSecret(cluster, ObjectKey(SECRET, KEYS, "system")), store)


@pytest.fixture(autouse=True)
def live(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that was read is trusted: each look is a new one."""
    monkeypatch.setattr(master_keys, "TRUST_SECONDS", -1.0)
    monkeypatch.setattr(vault, "TRUST_SECONDS", -1.0)


async def test_master_keys_are_made_once_and_wrap_what_is_stored() -> None:
    rig = Rig()
    assert await rig.vault.read("acme") is None
    masters = rig.secrets.masters()
    await rig.vault.store("acme", RING, "uid-1")
    assert rig.secrets.masters() == masters
    assert is_wrapped(rig.secrets.entry("acme.json"))
    assert rig.secrets.entry("acme.owner") == "uid-1"
    assert await rig.vault.read("acme") == RING
    await rig.vault.store("acme", KeyRing.generate(START), "uid-1")
    assert await rig.vault.read("acme") == RING, "keys that are there are never replaced"


async def test_plain_entries_of_the_first_release_are_wrapped_in_one_write() -> None:
    rig = Rig()
    plain = {f"t{number}.json": RING.keys.dump() for number in range(5)}
    rig.secrets.put(MASTERS, {"master-keys.json": MasterKeys.generate().dump()})
    rig.secrets.put(KEYS, {**plain, "t0.owner": "uid", "broken.json": '{"master": "gone", "sealed": "AAAA"}'})
    found = await rig.vault.read("t3")
    assert found is not None
    assert found.keys == RING.keys
    assert all(is_wrapped(rig.secrets.entry(name)) for name in plain)
    assert rig.secrets.entry("t0.owner") == "uid"
    assert rig.secrets.patches.count(KEYS) == 1
    with pytest.raises(InvalidInputError, match="master key gone, which is not among"):
        await rig.vault.read("broken")
    assert rig.secrets.entry("broken.json") == '{"master": "gone", "sealed": "AAAA"}', "what cannot be read is left"


@pytest.mark.parametrize("why", ["age", "request", "outside"])
async def test_a_new_master_key_wraps_everything_at_once(why: str) -> None:
    rig = Rig(Rotation(master_keys_after=timedelta(days=90)))
    for tenant in ("acme", "other"):
        await rig.vault.store(tenant, RING, "uid")
    before = rig.secrets.masters()
    metadata = rig.secrets.found[MASTERS]["metadata"]
    match why:
        case "age":
            rig.now += timedelta(days=90)
        case "request":
            metadata["annotations"] = {**metadata["annotations"], "dreamhub.dev/rotate-keys": "now"}
        case _:
            rig.secrets.put(MASTERS, {"master-keys.json": before.rotate().dump()})
    assert await rig.vault.read("acme") == RING
    after = rig.secrets.masters()
    assert after.active != before.active
    assert before.active in after.keys
    assert all(after.is_current(rig.secrets.entry(f"{tenant}.json")) for tenant in ("acme", "other"))
    assert rig.secrets.patches.count(KEYS) == 3, "two stored, one write for both"
    assert await rig.vault.read("other") == RING
    assert rig.secrets.masters() == after, "a demand is met once"


async def test_keys_from_outside_are_not_rotated_here() -> None:
    rig = Rig(Rotation(master_keys_after=timedelta(days=1)))
    mine = MasterKeys.generate()
    rig.secrets.put(MASTERS, {"master-keys.json": mine.dump()}, annotations={"dreamhub.dev/rotate-keys": "now"})
    await rig.vault.store("acme", RING, "uid")
    rig.now += timedelta(days=1000)
    assert await rig.vault.read("acme") == RING
    assert rig.secrets.masters() == mine


@pytest.mark.parametrize("content", [None, {}, {"master-keys.json": "{}"}, {"master-keys.json": "\ufffd"}])
async def test_lost_master_keys_are_never_made_anew_over_what_they_have_wrapped(content: dict[str, str] | None) -> None:
    rig = Rig()
    await rig.vault.store("acme", RING, "uid")
    kept, entry = rig.secrets.found[MASTERS], rig.secrets.entry("acme.json")
    if content is None:
        del rig.secrets.found[MASTERS]
    else:
        rig.secrets.put(MASTERS, content)
    with pytest.raises(InvalidInputError, match="restore it from a backup") as caught:
        await rig.vault.read("acme")
    assert caught.value.code == "MasterKeyMissing"
    with pytest.raises(InvalidInputError):
        await rig.vault.store("new", RING, "uid")
    assert rig.secrets.entry("acme.json") == entry
    rig.secrets.found[MASTERS] = kept
    assert await rig.vault.read("acme") == RING


async def test_master_keys_from_outside_are_waited_for() -> None:
    rig = Rig(Rotation(create_master_keys=False))
    with pytest.raises(UnavailableError, match="waiting for the Secret dreamhub-master-keys"):
        await rig.vault.store("acme", RING, "uid")
    assert MASTERS not in rig.secrets.found


async def test_a_ring_is_replaced_only_by_who_has_seen_it() -> None:
    rig = Rig()
    await rig.vault.store("acme", RING, "uid")
    added = RING.add(START, "")
    await rig.vault.replace("acme", RING, added)
    assert await rig.vault.read("acme") == added
    with pytest.raises(ConflictError):
        await rig.vault.replace("acme", RING, RING.add(START, "other"))
    assert await rig.vault.read("acme") == added


async def test_keys_belong_to_one_tenant_whoever_has_the_name() -> None:
    rig = Rig()
    await rig.vault.store("acme", RING, "first")
    assert await rig.vault.read_owner("acme", live=True) == "first"
    for attempt in (
        rig.vault.claim("acme", "second", None),
        rig.vault.claim("acme", "second", "third"),
        rig.vault.store("acme", RING, "second"),
        rig.vault.destroy("acme", "second"),
    ):
        with pytest.raises(ConflictError, match="UID first"):
            await attempt
    await rig.vault.claim("acme", "second", "first")
    assert await rig.vault.read_owner("acme", live=True) == "second"
    assert await rig.vault.read("acme") == RING
    with pytest.raises(ConflictError):
        await rig.vault.destroy("acme", "first")
    await rig.vault.destroy("acme", "second")
    await rig.vault.destroy("acme", "second")
    assert rig.secrets.found[KEYS]["data"] == {}


async def test_keys_from_before_owners_were_recorded_are_claimed_and_absent_ones_are_not() -> None:
    rig = Rig()
    rig.secrets.put(KEYS, {"acme.json": RING.keys.dump()})
    with pytest.raises(ConflictError):
        await rig.vault.destroy("acme", "first")
    await rig.vault.claim("acme", "first", None)
    assert await rig.vault.read_owner("acme", live=False) == "first"
    await rig.vault.claim("absent", "first", None)
    assert await rig.vault.read_owner("absent", live=True) is None
