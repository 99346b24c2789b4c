"""Whose a namespace and the stores are, and what follows from it."""

from dataclasses import replace
from typing import Any

import pytest

from dreamhub.crd.tenant import Tenant
from dreamhub.names import ADOPT_ANNOTATION, OWNER_UID_LABEL
from dreamhub_operator.reconcile.fence import explain_foreign, explain_unproven
from dreamhub_operator.reconcile.store_owners import StoreOwners
from dreamhub_operator.reconcile.tenant_plan import ClaimStores, ExpectNamespace, TenantObserved, Write
from tests.unit.operator.builders import tenant
from tests.unit.operator.test_tenant_plan import BINDING, NAMESPACE, RECORDED, complete, inside, plan

EXPECTED = {"namespace": {"name": "dh-acme", "uid": ""}}
OTHER = {"namespace": {"name": "dh-acme", "uid": "another"}}
ADOPTS = {"annotations": {ADOPT_ANNOTATION: "former"}}


def namespace(owner: str | None) -> dict[str, Any]:
    labels = {OWNER_UID_LABEL: owner} if owner is not None else {}
    return {**NAMESPACE, "metadata": {**NAMESPACE["metadata"], "labels": labels}}


@pytest.mark.parametrize(
    ("subject", "owner", "words"),
    [
        (tenant(RECORDED), "tenant-uid", None),
        (tenant(EXPECTED), "tenant-uid", None),
        (tenant(), "tenant-uid", None),
        (tenant(OTHER), "tenant-uid", "somebody made it again"),
        (tenant(), None, "kubectl label namespace dh-acme dreamhub.dev/owner-uid=tenant-uid"),
        (tenant(RECORDED), None, "was not made for this Tenant"),
        (tenant(), "former", "kubectl annotate tenant acme --overwrite dreamhub.dev/adopt=former"),
        (tenant(RECORDED), "former", "belongs to another Tenant"),
        (tenant(metadata=ADOPTS), "former", None),
        (tenant(metadata=ADOPTS), "third", "belongs to another Tenant"),
    ],
)
def test_which_namespace_may_be_used(subject: Tenant, owner: str | None, words: str | None) -> None:
    found = explain_foreign(subject, namespace(owner))
    assert (found is None) == (words is None)
    assert (words or "") in (found or "")


@pytest.mark.parametrize(
    ("subject", "owner", "words"),
    [
        (tenant(RECORDED), "tenant-uid", ""),
        (tenant(EXPECTED), "tenant-uid", ""),
        (tenant(OTHER), "tenant-uid", "recorded is another"),
        (tenant(), "tenant-uid", "recorded is none"),
        (tenant(RECORDED), "former", "its owner is former"),
        (tenant(RECORDED), None, "its owner is nobody"),
        (tenant(), "former", ""),
        (tenant(metadata=ADOPTS), "former", ""),
    ],
)
def test_which_namespace_holds_a_deletion_up(subject: Tenant, owner: str | None, words: str) -> None:
    """None that is provably ours, which goes, or none of ours, which stays."""
    found = explain_unproven(subject, namespace(owner)) or ""
    assert bool(found) is bool(words)
    assert words in found


def test_a_namespace_is_expected_before_it_becomes_ours() -> None:
    for subject in (tenant(), tenant(RECORDED)):
        first, second = plan(TenantObserved(), subject).actions
        assert first == ExpectNamespace()
        assert isinstance(second, Write)
    assert len(plan(TenantObserved(), tenant(EXPECTED)).actions) == 1
    assert plan(TenantObserved(namespace("former")), tenant(metadata=ADOPTS)).actions[0] == ExpectNamespace()


def test_stores_are_claimed_before_anything_is_made_in_them() -> None:
    for owners in (StoreOwners(), StoreOwners("tenant-uid", None), StoreOwners(None, "tenant-uid")):
        assert plan(complete(owners=owners, credentials=None)).actions == (ClaimStores(),)
    assert plan(complete(owners=StoreOwners("tenant-uid", "tenant-uid"))).actions == ()
    no_keys_yet = complete(owners=StoreOwners("tenant-uid", None), ring=None)
    assert ClaimStores() not in plan(no_keys_yet).actions


@pytest.mark.parametrize(
    "owners", [StoreOwners("former", "former"), StoreOwners("former"), StoreOwners(None, "former")]
)
def test_a_namesakes_stores_are_taken_over_only_by_whom_says_so(owners: StoreOwners) -> None:
    refused = plan(complete(owners=owners, credentials=None))
    assert refused.actions == ()
    assert refused.obstacle is not None
    assert refused.obstacle.reason == "StoresForeign"
    assert "dreamhub.dev/adopt=former" in refused.obstacle.message
    adopting = tenant(RECORDED, metadata=ADOPTS)
    observed = TenantObserved(NAMESPACE, BINDING, replace(inside(credentials=None), owners=owners))
    assert plan(observed, adopting).actions == (ClaimStores(),)
    other = tenant(RECORDED, metadata={"annotations": {ADOPT_ANNOTATION: "third"}})
    assert plan(observed, other).actions == ()
