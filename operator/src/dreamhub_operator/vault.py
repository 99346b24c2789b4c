"""The tenants' data keys in the system namespace: one Secret, one entry a tenant, each wrapped by a master key."""

import base64
import binascii
from collections.abc import Container, Mapping

import structlog

from dreamhub.domain.envelope import MasterKeys, is_wrapped
from dreamhub.domain.key_ring import KeyRing
from dreamhub.errors import BugError, ConflictError, InvalidInputError
from dreamhub_operator.master_keys import MasterKeyStore
from dreamhub_operator.shared_secret import SharedSecret

TRUST_SECONDS = 10.0
"""How old what `read` tells may be. Writes look again first."""

_SUFFIX = ".json"

log = structlog.get_logger()


class KeyVault:
    """An entry that is there is never overwritten unseen, and one that cannot be unwrapped is left as it is."""

    def __init__(self, secret: SharedSecret, masters: MasterKeyStore) -> None:
        self._secret = secret
        self._masters = masters
        self._checked: tuple[Mapping[str, str], MasterKeys] | None = None
        """What was last found to be under the active master key: looking again and again costs time."""

    async def read(self, tenant: str) -> KeyRing | None:
        """Raises InvalidInputError or BugError when there is an entry that cannot be read."""
        entries = await self._secret.entries(TRUST_SECONDS)
        masters = await self._open(entries)
        return _unwrap(masters, tenant, entries)

    async def read_owner(self, tenant: str, *, live: bool) -> str | None:
        """UID of the Tenant that the keys of this name belong to; None when there are none or nobody claimed them."""
        encoded = (await self._secret.entries(0.0 if live else TRUST_SECONDS)).get(_owner_entry(tenant))
        return _decode(encoded) if encoded is not None else None

    async def claim(self, tenant: str, owner: str, former: str | None) -> None:
        """Make `owner` the owner of keys that are there and nobody's, or `former`'s. Idempotent.

        Raises ConflictError when they are another's.
        """

        def decide(entries: Mapping[str, str]) -> Mapping[str, str | None]:
            if _holds_nothing(tenant, entries):
                return {}
            _refuse_strangers(tenant, entries, {None, owner, former})
            return {_owner_entry(tenant): _encode(owner)}

        await self._secret.update(decide)

    async def store(self, tenant: str, ring: KeyRing, owner: str) -> None:
        """Add the keys and whose they are. Keys that are there are never replaced: the next round reads them."""
        masters = await self._open(await self._secret.entries(TRUST_SECONDS))
        fresh = {_entry(tenant): _wrap(masters, tenant, ring.dump()), _owner_entry(tenant): _encode(owner)}

        def decide(entries: Mapping[str, str]) -> Mapping[str, str | None]:
            _refuse_strangers(tenant, entries, {None, owner})
            return {} if _entry(tenant) in entries else fresh

        await self._secret.update(decide)

    async def replace(self, tenant: str, before: KeyRing, after: KeyRing) -> None:
        """Raises ConflictError when the entry is not `before` any more."""
        masters = await self._open(await self._secret.entries(TRUST_SECONDS))

        def decide(entries: Mapping[str, str]) -> Mapping[str, str | None]:
            if _unwrap(masters, tenant, entries) != before:
                raise ConflictError(f"the data keys of tenant {tenant} were changed meanwhile; trying again")
            return {_entry(tenant): _wrap(masters, tenant, after.dump())}

        await self._secret.update(decide)

    async def destroy(self, tenant: str, owner: str) -> None:
        """Remove the keys: from then on nobody reads what they encrypted. ConflictError: they are another's."""

        def decide(entries: Mapping[str, str]) -> Mapping[str, str | None]:
            if _holds_nothing(tenant, entries):
                return {}
            _refuse_strangers(tenant, entries, {owner})
            return {name: None for name in (_entry(tenant), _owner_entry(tenant)) if name in entries}

        await self._secret.update(decide)

    async def _open(self, entries: Mapping[str, str]) -> MasterKeys:
        """The master keys, after all entries were brought under the active one, plain ones of the first release too."""
        if self._checked is not None and self._checked[0] is entries:
            masters = await self._masters.read(sealed=True)
            if masters == self._checked[1]:
                return masters
        wrapped = any(is_wrapped(text) for text in map(_decode, entries.values()) if text is not None)
        masters = await self._masters.read(sealed=wrapped)
        if _rewrap(masters, entries):
            await self._secret.update(lambda present: _rewrap(masters, present))
            log.info("data keys wrapped by the active master key", master=masters.active)
        self._checked = (entries, masters)
        return masters


def _rewrap(masters: MasterKeys, entries: Mapping[str, str]) -> dict[str, str]:
    """The entries that another master key has wrapped, or none, wrapped by the active one."""
    fresh: dict[str, str] = {}
    for name, encoded in entries.items():
        text = _decode(encoded) if name.endswith(_SUFFIX) else None
        if text is None or masters.is_current(text):
            continue
        tenant = name.removesuffix(_SUFFIX)
        try:
            fresh[name] = _wrap(masters, tenant, masters.unwrap(tenant, text))
        except (InvalidInputError, BugError) as error:
            log.warning("data keys cannot be unwrapped", tenant=tenant, code=error.code, error=error.message)
    return fresh


def _unwrap(masters: MasterKeys, tenant: str, entries: Mapping[str, str]) -> KeyRing | None:
    encoded = entries.get(_entry(tenant))
    if encoded is None:
        return None
    text = _decode(encoded)
    if text is None:
        raise InvalidInputError(f"the data keys of tenant {tenant} are no text; restore their entry from a backup")
    return KeyRing.parse(masters.unwrap(tenant, text))


def _holds_nothing(tenant: str, entries: Mapping[str, str]) -> bool:
    return _entry(tenant) not in entries and _owner_entry(tenant) not in entries


def _refuse_strangers(tenant: str, entries: Mapping[str, str], welcome: Container[str | None]) -> None:
    encoded = entries.get(_owner_entry(tenant))
    owner = _decode(encoded) if encoded is not None else None
    if owner not in welcome:
        raise ConflictError(f"the data keys of tenant {tenant} belong to the Tenant with UID {owner}")


def _wrap(masters: MasterKeys, tenant: str, plain: str) -> str:
    return _encode(masters.wrap(tenant, plain))


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _decode(encoded: str) -> str | None:
    try:
        return base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def _entry(tenant: str) -> str:
    return tenant + _SUFFIX


def _owner_entry(tenant: str) -> str:
    """Beside the keys, in plain text: the UID of the Tenant that they belong to. No tenant's name holds a dot."""
    return f"{tenant}.owner"
