"""The decision table of a Tenant."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from dreamhub.domain.key_ring import KeyRing
from dreamhub.names import OWNER_UID_LABEL
from dreamhub_operator.cluster import key_of
from dreamhub_operator.desired.credentials import Addresses, Credentials, Passwords, build_credentials, read_entry
from dreamhub_operator.desired.namespace import (
    build_namespace,
    build_operator_binding,
    build_owner_binding,
    build_subject,
)
from dreamhub_operator.desired.network import build_network_policies
from dreamhub_operator.kinds import Manifest
from dreamhub_operator.reconcile.drift import RIGHT, UNKNOWN, stamp
from dreamhub_operator.reconcile.tenant_plan import (
    AddFinalizer,
    Desired,
    Inside,
    ProvisionDatabase,
    Remove,
    SetCacheUser,
    StoreKeys,
    TenantObserved,
    TenantPlan,
    Write,
    plan_tenant,
)
from dreamhub_operator.settings import Dns
from tests.unit.operator.builders import tenant

ADDRESSES = Addresses("postgres:5432/dreamhub", "redis:6379")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FRESH = Credentials("a", Passwords("fresh-database", "fresh-redis"), NOW)
KNOWN = Credentials("b", Passwords("known-database", "known-redis"), NOW)
RING, NEW = KeyRing.generate(NOW), KeyRing.generate(NOW)
COPY = replace(RING, since=None)
"""What can be made of the keys that pods have."""
RECORDED = {"namespace": {"name": "dh-acme", "uid": "uid-dh-acme"}}
TENANT = tenant(RECORDED)
SETTLED = tenant(
    {
        **RECORDED,
        "observedGeneration": 1,
        "conditions": [
            {"type": kind, "status": "True", "reason": "Provisioned", "lastTransitionTime": "2026-01-01T00:00:00Z"}
            for kind in ("NamespaceReady", "CredentialsFresh")
        ],
    }
)
DESIRED = Desired(
    build_operator_binding(TENANT, build_subject("system:serviceaccount:dreamhub-system:dreamhub-operator")),
    [build_owner_binding(TENANT), *build_network_policies(TENANT, [], Dns())],
    ADDRESSES,
)


def live(manifest: Manifest, **metadata: Any) -> Manifest:
    stamped = stamp(manifest)
    extra = {"uid": f"uid-{manifest['metadata']['name']}", "resourceVersion": "5", **metadata}
    return {**stamped, "metadata": {**stamped["metadata"], **extra}}


NAMESPACE = live(build_namespace(TENANT))
BINDING = live(DESIRED.binding)
CHILDREN = {key_of(manifest): live(manifest) for manifest in [DESIRED.binding, *DESIRED.children]}


def inside(**changes: Any) -> Inside:
    values: dict[str, Any] = {
        "children": CHILDREN,
        "credentials": live(build_credentials(TENANT, KNOWN, RING.keys.dump(), ADDRESSES)),
        "ring": RING,
        "fresh_credentials": FRESH,
        "fresh_ring": NEW,
        "database": RIGHT,
        "cache": RIGHT,
    }
    return Inside(**{**values, **changes})


def plan(seen: TenantObserved, of: Any = TENANT) -> TenantPlan:
    return plan_tenant(of, seen, DESIRED)


def complete(**changes: Any) -> TenantObserved:
    return TenantObserved(NAMESPACE, BINDING, inside(**changes))


def test_the_finalizer_comes_before_anything_that_could_be_left_behind() -> None:
    assert plan(TenantObserved(), tenant(metadata={"finalizers": []})).actions == (AddFinalizer(),)


def test_then_the_namespace_then_our_rights_in_it() -> None:
    first = plan(TenantObserved()).actions
    assert [action.manifest["kind"] for action in first if isinstance(action, Write)] == ["Namespace"]
    second = plan(TenantObserved(NAMESPACE)).actions
    assert [action.manifest["kind"] for action in second if isinstance(action, Write)] == ["RoleBinding"]


def test_a_complete_tenant_needs_nothing() -> None:
    assert plan(complete()) == TenantPlan()


def test_an_empty_namespace_gets_everything_once() -> None:
    seen = complete(children={}, credentials=None, ring=None, database=UNKNOWN, cache=UNKNOWN)
    actions = plan(seen).actions
    written = [action.manifest["kind"] for action in actions if isinstance(action, Write)]
    assert written == ["RoleBinding", "RoleBinding", "NetworkPolicy", "NetworkPolicy", "NetworkPolicy", "Secret"]
    assert not any(isinstance(action, Write) and action.is_drift for action in actions)
    assert StoreKeys(NEW) in actions
    assert ProvisionDatabase(FRESH) in actions
    assert SetCacheUser(FRESH) in actions


def test_known_passwords_are_kept() -> None:
    assert plan(complete(database=UNKNOWN)).actions == (ProvisionDatabase(KNOWN),)


@pytest.mark.parametrize("labels", [{}, {OWNER_UID_LABEL: "another"}])
def test_a_foreign_namespace_is_left_alone(labels: dict[str, str]) -> None:
    foreign = {**NAMESPACE, "metadata": {**NAMESPACE["metadata"], "labels": labels}}
    result = plan(TenantObserved(foreign, BINDING, inside()))
    assert result.actions == ()
    assert result.obstacle is not None
    assert result.obstacle.reason == "NamespaceForeign"
    assert not result.obstacle.passes


def test_a_namespace_on_its_way_out_is_waited_for() -> None:
    going = {**NAMESPACE, "metadata": {**NAMESPACE["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    result = plan(TenantObserved(going, BINDING, inside()))
    assert result.actions == ()
    assert result.obstacle is not None
    assert result.obstacle.passes


def test_a_foreign_rule_is_replaced_and_named() -> None:
    key = next(key for key in CHILDREN if key.name == "default-deny")
    opened = {**CHILDREN[key], "spec": {**CHILDREN[key]["spec"], "ingress": [{}]}}
    actions = plan(complete(children={**CHILDREN, key: opened}), SETTLED).actions
    (action,) = actions
    assert isinstance(action, Write)
    assert action.changed == ("spec.ingress",)
    assert action.manifest["metadata"]["resourceVersion"] == "5"
    assert "ingress" not in action.manifest["spec"]


def test_a_missing_object_is_drift_only_where_it_once_was() -> None:
    key = next(key for key in CHILDREN if key.name == "default-deny")
    seen = complete(children={k: v for k, v in CHILDREN.items() if k != key})
    (action,) = plan(seen, SETTLED).actions
    assert isinstance(action, Write)
    assert action.is_drift
    (action,) = plan(seen).actions
    assert isinstance(action, Write)
    assert not action.is_drift


def test_our_own_change_of_mind_is_no_drift() -> None:
    changed = tenant(network={"egress": [{"to": "203.0.113.0/24", "ports": [443]}]})
    desired = Desired(
        DESIRED.binding, [build_owner_binding(TENANT), *build_network_policies(changed, [], Dns())], ADDRESSES
    )
    (action,) = plan_tenant(SETTLED, complete(), desired).actions
    assert isinstance(action, Write)
    assert not action.is_drift


def test_a_role_that_was_exchanged_goes_by_its_uid() -> None:
    exchanged = {**BINDING, "roleRef": {**BINDING["roleRef"], "name": "cluster-admin"}}
    result = plan(TenantObserved(NAMESPACE, exchanged))
    assert result.actions == (Remove(key_of(BINDING), "uid-dreamhub-operator"),)


def test_a_stray_object_of_ours_is_pruned() -> None:
    stray = live(build_network_policies(TENANT, [], Dns())[0], name="old", uid="stray")
    result = plan(complete(children={**CHILDREN, key_of(stray): stray}))
    assert result.actions == (Remove(key_of(stray), "stray"),)


def test_keys_come_back_from_the_copy() -> None:
    assert plan(complete(ring=None), SETTLED).actions == (StoreKeys(COPY),)


def test_lost_keys_are_never_replaced_by_new_ones() -> None:
    result = plan(complete(ring=None, credentials=None), SETTLED)
    assert result.actions == ()
    assert result.obstacle is not None
    assert result.obstacle.reason == "KeysLost"


def test_keys_that_cannot_be_unwrapped_are_neither_replaced_nor_copied_back() -> None:
    result = plan(complete(ring=None, keys_fault="master key 7 is missing"), SETTLED)
    assert result.actions == ()
    assert result.obstacle is not None
    assert (result.obstacle.reason, result.obstacle.message) == ("KeysLost", "master key 7 is missing")


def test_pods_get_no_retired_key() -> None:
    rotated = RING.add(NOW, "").activate(NOW)
    retired = rotated.retire("1", NOW)
    (action,) = plan(complete(ring=retired), SETTLED).actions
    assert isinstance(action, Write)
    assert KeyRing.parse(read_entry(action.manifest, "keys.json") or "").keys == retired.keys
    assert list(retired.keys.keys) == ["2"]


def test_credentials_follow_the_addresses() -> None:
    moved = Desired(DESIRED.binding, DESIRED.children, Addresses("elsewhere:5432/dreamhub", "redis:6379"))
    (action,) = plan_tenant(SETTLED, complete(), moved).actions
    assert isinstance(action, Write)
    assert action.manifest["kind"] == "Secret"


def test_an_unknown_model_stalls_but_the_rest_is_made() -> None:
    seen = TenantObserved(NAMESPACE, BINDING, inside(cache=UNKNOWN), unknown_model="there is no model x")
    result = plan(seen)
    assert result.actions == (SetCacheUser(KNOWN),)
    assert result.obstacle is not None
    assert result.obstacle.reason == "UnknownModel"
