"""When logins and data keys take their next step: every state there is, at every moment that matters."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from dreamhub.domain.key_ring import KeyRing
from dreamhub.sql.tenants import RekeyRun
from dreamhub_operator.desired.credentials import Credentials, Former, Passwords, begin_credentials
from dreamhub_operator.desired.rekey import build_rekey_job
from dreamhub_operator.rotation.plan import CredentialsSeen, KeysSeen, plan_credentials, plan_keys, spread_age
from dreamhub_operator.rotation.settings import Rotation
from dreamhub_operator.rotation.status import build_credentials_status, build_keys_status
from tests.unit.operator.builders import tenant
from tests.unit.operator.test_desired import WORKER

HOUR = timedelta(hours=1)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
LATEST = max((f"uid-{number}" for number in range(100_000)), key=lambda uid: spread_age(HOUR, uid))
"""The UID of a Tenant that is due when the whole age is reached, but for a trifle."""
ROTATION = Rotation(
    credentials_after=720 * HOUR,
    overlap=24 * HOUR,
    data_keys_after=2160 * HOUR,
    spread=timedelta(minutes=3),
    retired_keys_kept=840 * HOUR,
)
WORDS = Passwords("database", "redis")
CURRENT = Credentials("a", WORDS, NOW - HOUR, "1")
IDLE = KeyRing.generate(NOW - HOUR)
SPREADING = IDLE.add(NOW - HOUR, "1")
REWRITING = SPREADING.activate(NOW - HOUR)
RETIRED = REWRITING.retire("1", NOW - HOUR)


def former(left: timedelta) -> Former:
    return Former("b", "digest", NOW + left)


@pytest.mark.parametrize(
    ("credentials", "request_", "step"),
    [
        (CURRENT, "", None),
        (CURRENT, "1", None),
        (CURRENT, "2", "Rotate"),
        (replace(CURRENT, rotated=NOW - 719 * HOUR), "1", None),
        (replace(CURRENT, rotated=NOW - 720 * HOUR), "1", "Rotate"),
        (replace(CURRENT, rotated=None), "1", "Rotate"),
        (replace(CURRENT, slot=""), "1", "Rotate"),
        (replace(CURRENT, former=former(HOUR)), "2", None),
        (replace(CURRENT, slot="", former=former(HOUR)), "1", None),
        (replace(CURRENT, former=former(timedelta())), "1", "EndFormer"),
        (replace(CURRENT, former=former(-HOUR)), "2", "EndFormer"),
    ],
)
def test_the_next_step_of_logins(credentials: Credentials, request_: str, step: str | None) -> None:
    assert plan_credentials(CredentialsSeen(LATEST, credentials, request_), ROTATION, NOW) == step


def test_tenants_made_at_once_are_due_one_after_the_other() -> None:
    ages = [spread_age(1000 * HOUR, f"uid-{number}") for number in range(500)]
    assert 900 * HOUR <= min(ages) < 905 * HOUR
    assert 995 * HOUR < max(ages) <= 1000 * HOUR
    assert len(set(ages)) > 490
    assert spread_age(1000 * HOUR, "uid-1") == ages[1], "the same at every look"
    early = next(f"uid-{number}" for number, age in enumerate(ages) if age < 910 * HOUR)
    aged = replace(CURRENT, rotated=NOW - 719 * HOUR)
    assert plan_credentials(CredentialsSeen(early, aged, ""), ROTATION, NOW) == "Rotate"
    assert plan_keys(seen(replace(IDLE, since=NOW - 2159 * HOUR), request="", uid=early), ROTATION, NOW) == "Add"


def test_a_rotation_changes_the_slot_and_both_passwords_and_remembers_the_ones_before() -> None:
    after = CURRENT.rotate(Passwords("new", "newer"), NOW, NOW + 24 * HOUR, "2")
    assert (after.slot, after.passwords, after.rotated, after.request) == ("b", Passwords("new", "newer"), NOW, "2")
    assert after.former is not None
    assert (after.former.slot, after.former.valid_until) == ("a", NOW + 24 * HOUR)
    assert after.redis_digests[1:] == CURRENT.redis_digests
    assert after.end_former().redis_digests == after.redis_digests[:1]
    assert len({CURRENT.fingerprint, after.fingerprint, after.end_former().fingerprint}) == 3
    again = after.end_former().rotate(WORDS, NOW, NOW + HOUR, "3")
    assert again.slot == "a"


def test_lost_logins_are_replaced_by_the_other_slot() -> None:
    """Whoever was started with the lost ones keeps them for the overlap, and nobody keeps them for ever."""
    new = begin_credentials(tenant(), WORDS, NOW, NOW + HOUR)
    assert (new.slot, new.former) == ("a", None)
    known = tenant({"credentials": {"slot": "a", "rotatedTime": "2026-01-01T00:00:00Z"}})
    lost = begin_credentials(known, WORDS, NOW, NOW + HOUR)
    assert (lost.slot, lost.former) == ("b", Former("a", "", NOW + HOUR))
    assert len(lost.redis_digests) == 1


def seen(ring: KeyRing, **changes: Any) -> KeysSeen:
    values: dict[str, Any] = {"uid": LATEST, "ring": ring, "born": NOW - 9000 * HOUR, "request": "1"}
    return KeysSeen(**{**values, **changes})


@pytest.mark.parametrize(
    ("state", "step"),
    [
        (seen(replace(IDLE, request="1")), None),
        (seen(IDLE, request=""), None),
        (seen(IDLE), "Add"),
        (seen(IDLE, room=False), None),
        (seen(SPREADING, room=False), "Activate"),
        (seen(replace(IDLE, since=NOW - 2159 * HOUR), request=""), None),
        (seen(replace(IDLE, since=NOW - 2160 * HOUR), request=""), "Add"),
        (seen(replace(IDLE, since=None), request=""), "Add"),
        (seen(replace(IDLE, since=None), request="", born=NOW), None),
        (seen(SPREADING), "Activate"),
        (seen(replace(SPREADING, since=NOW - timedelta(minutes=2))), None),
        (seen(replace(SPREADING, since=NOW), request="2"), None),
        (seen(REWRITING), "StartJob"),
        (seen(REWRITING, request="2"), "StartJob"),
        (seen(REWRITING, job="Running"), None),
        (seen(REWRITING, job="Ended"), "Verify"),
        (seen(replace(REWRITING, since=NOW), job="Ended"), None),
        (seen(RETIRED), None),
        (seen(RETIRED, request="2"), "Add"),
        (seen(REWRITING.retire("1", NOW - 839 * HOUR)), None),
        (seen(REWRITING.retire("1", NOW - 840 * HOUR)), "Destroy"),
        (seen(REWRITING.retire("1", NOW - 840 * HOUR), request="2"), "Destroy"),
    ],
)
def test_the_next_step_of_data_keys(state: KeysSeen, step: str | None) -> None:
    assert plan_keys(state, ROTATION, NOW) == step


def test_the_status_of_keys_follows_them() -> None:
    run = RekeyRun(200, 50, None)
    spreading = build_keys_status(SPREADING, NOW, None, build_keys_status(IDLE, NOW, None, None))
    assert (spreading.active, spreading.rotated_time) == ("1", IDLE.since)
    assert spreading.reencryption is not None
    assert spreading.reencryption.state == "Spreading"
    running = build_keys_status(REWRITING, NOW, run, spreading)
    assert running.reencryption is not None
    assert running.reencryption.model_dump() == {"state": "Running", "total": 200, "done": 50, "percent": 25}
    done = build_keys_status(RETIRED, NOW, None, running)
    assert done.reencryption is not None
    assert done.reencryption.model_dump() == {"state": "Done", "total": 200, "done": 200, "percent": 100}
    assert (done.active, done.retired) == ("2", ("1",))
    assert build_keys_status(IDLE, NOW, None, None).reencryption is None
    assert build_keys_status(REWRITING, NOW, RekeyRun(0, 0, None), None).reencryption is not None


def test_the_status_of_logins_names_the_slot_and_the_end_of_the_one_before() -> None:
    status = build_credentials_status(replace(CURRENT, former=former(HOUR)))
    assert status is not None
    assert (status.slot, status.rotated_time, status.previous_valid_until) == ("a", NOW - HOUR, NOW + HOUR)
    assert build_credentials_status(replace(CURRENT, slot="")) is None


def test_the_job_has_a_workers_walls_and_no_more_than_the_tenants_credentials() -> None:
    job = build_rekey_job(tenant(), "2", WORKER)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert job["metadata"]["name"] == "rekey-2"
    assert job["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"] == "worker"
    assert container["command"][-1] == "dreamhub_worker.rekey"
    assert container["image"] == WORKER.image
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [volume["secret"]["secretName"] for volume in pod["volumes"]] == ["dreamhub-credentials"]
    assert "dreamhub.dev/owner-uid" not in job["metadata"]["labels"], "no IngestJob's Job"


@pytest.mark.parametrize(("text", "hours"), [("720h", 720), ("30d", 720), ("7200s", 2), ("120m", 2)])
def test_durations_are_read(text: str, hours: int) -> None:
    assert Rotation.model_validate({"credentialsAfter": text}).credentials_after == hours * HOUR


@pytest.mark.parametrize("text", ["", "0h", "-1h", "1w", "1.5h", "1h30m", "h"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="no duration"):
        Rotation.model_validate({"overlap": text})
