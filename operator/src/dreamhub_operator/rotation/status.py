"""What a Tenant's status tells of its logins and data keys. Pure."""

from datetime import datetime

from dreamhub.crd.tenant import CredentialsStatus, KeysStatus, Reencryption, TenantStatus
from dreamhub.domain.key_ring import KeyRing
from dreamhub.sql.tenants import RekeyRun
from dreamhub_operator.desired.credentials import Credentials

MAX_RETIRED = 16


def build_credentials_status(credentials: Credentials) -> CredentialsStatus | None:
    """None for logins of a release without slots, which are about to be rotated."""
    if not credentials.slot:
        return None
    former = credentials.former
    return CredentialsStatus(
        slot=credentials.slot,
        rotated_time=credentials.rotated,
        previous_valid_until=former.valid_until if former is not None else None,
    )


def build_keys_status(ring: KeyRing, born: datetime, run: RekeyRun | None, before: KeysStatus | None) -> KeysStatus:
    spreading = ring.newest != ring.keys.active
    known = before.rotated_time if before is not None else None
    return KeysStatus(
        active=ring.keys.active,
        rotated_time=(known if spreading else ring.since) or born,
        reencryption=_build_reencryption(ring, run, before.reencryption if before is not None else None),
        retired=tuple(ring.retired)[-MAX_RETIRED:],
    )


def is_reencrypting(status: TenantStatus) -> bool:
    reencryption = status.keys.reencryption if status.keys is not None else None
    return reencryption is not None and reencryption.state != "Done"


def _build_reencryption(ring: KeyRing, run: RekeyRun | None, before: Reencryption | None) -> Reencryption | None:
    if ring.newest != ring.keys.active:
        return Reencryption(state="Spreading")
    if not ring.outdated:
        return before.model_copy(update={"state": "Done", "done": before.total, "percent": 100}) if before else None
    if run is None:
        return Reencryption(state="Running")
    percent = 100 * run.done // run.total if run.total else 100
    return Reencryption(state="Running", total=run.total, done=run.done, percent=min(percent, 100))
