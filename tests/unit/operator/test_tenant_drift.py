"""When a plan from memory may stand, and what becomes of a credentials Secret that somebody touched."""

from dataclasses import replace
from typing import Any

import pytest

from dreamhub.crd.tenant import TenantReason
from dreamhub_operator.cluster import key_of
from dreamhub_operator.desired.credentials import Passwords, build_credentials
from dreamhub_operator.kinds import Manifest
from dreamhub_operator.reconcile.drift import UNKNOWN, Finding
from dreamhub_operator.reconcile.tenant_plan import (
    AddFinalizer,
    Obstacle,
    ProvisionDatabase,
    Remove,
    SetCacheUser,
    TenantPlan,
    Write,
    may_trust_memory,
)
from tests.unit.operator.test_tenant_plan import (
    ADDRESSES,
    BINDING,
    FRESH,
    KNOWN,
    NAMESPACE,
    RING,
    SETTLED,
    TENANT,
    complete,
    live,
    plan,
)

SECRET = live(build_credentials(TENANT, KNOWN, RING.keys.dump(), ADDRESSES), managedFields=[{"manager": "mallory"}])


@pytest.mark.parametrize(
    ("tenant", "actions", "trusted"),
    [
        (SETTLED, (), True),
        (TENANT, (AddFinalizer(), Write({**BINDING, "metadata": {"name": "x"}})), True),
        (SETTLED, (Write({**BINDING, "metadata": {"name": "x"}}),), False),
        (TENANT, (Write({**NAMESPACE, "metadata": {"name": "x"}}),), False),
        (TENANT, (Write(BINDING, ("subjects",)),), False),
        (TENANT, (Remove(key_of(BINDING), "uid"),), False),
        (SETTLED, (ProvisionDatabase(KNOWN), SetCacheUser(KNOWN)), True),
    ],
)
def test_memory_is_trusted_for_nothing_and_for_adding(tenant: Any, actions: tuple[Any, ...], *, trusted: bool) -> None:
    assert may_trust_memory(tenant, TenantPlan(actions)) is trusted


def test_an_obstacle_is_looked_at_live() -> None:
    obstacle = Obstacle(TenantReason.NAMESPACE_FOREIGN, "")
    assert not may_trust_memory(SETTLED, TenantPlan(obstacle=obstacle))


def secret_write(secret: Manifest | None, of: Any = SETTLED) -> Write | None:
    actions = plan(complete(credentials=secret), of).actions
    found = [action for action in actions if isinstance(action, Write) and action.manifest["kind"] == "Secret"]
    return found[0] if found else None


def test_an_untouched_secret_is_left_alone() -> None:
    assert secret_write(SECRET) is None


def test_an_entry_that_somebody_added_goes_and_labels_stay() -> None:
    touched = {**SECRET, "data": {**SECRET["data"], "extra": "eA=="}}
    touched["metadata"] = {**SECRET["metadata"], "labels": {**SECRET["metadata"]["labels"], "team": "red"}}
    write = secret_write(touched)
    assert write is not None
    assert write.changed == ("data.extra",)
    assert write.editor == "mallory"
    assert "extra" not in write.manifest["data"]
    assert write.manifest["metadata"]["labels"]["team"] == "red"


def test_a_deleted_one_is_drift_only_where_it_once_was() -> None:
    gone, made = secret_write(None), secret_write(None, TENANT)
    assert gone is not None
    assert gone.changed == ("the whole object",)
    assert made is not None
    assert not made.is_drift


def test_logins_of_a_person_are_replaced_by_fresh_ones_everywhere() -> None:
    chosen = replace(KNOWN, passwords=Passwords("chosen", "chosen"))
    forged = live(build_credentials(TENANT, chosen, RING.keys.dump(), ADDRESSES))
    seal = SECRET["metadata"]["annotations"]["dreamhub.dev/logins-hash"]
    forged["metadata"]["annotations"]["dreamhub.dev/logins-hash"] = seal
    actions = plan(complete(credentials=forged), SETTLED).actions
    write = next(action for action in actions if isinstance(action, Write))
    assert {"data.database-url", "data.redis-url"} <= set(write.changed)
    assert ProvisionDatabase(FRESH) in actions
    assert SetCacheUser(FRESH) in actions


@pytest.mark.parametrize(
    ("tenant", "finding", "changed"),
    [
        (SETTLED, Finding(("keys",), foreign=True), ("keys",)),
        (TENANT, Finding(("keys",), foreign=True), ()),
        (SETTLED, Finding(("keys",)), ()),
        (SETTLED, UNKNOWN, ()),
    ],
)
def test_what_others_changed_in_stores_is_told_of_tenants_that_stood(
    tenant: Any, finding: Finding, changed: tuple[str, ...]
) -> None:
    assert plan(complete(cache=finding), tenant).actions == (SetCacheUser(KNOWN, changed),)
    assert plan(complete(database=finding), tenant).actions == (ProvisionDatabase(KNOWN, changed),)
