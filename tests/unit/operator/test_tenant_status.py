from typing import Any

import pytest

from dreamhub.crd.tenant import TenantReason
from dreamhub.domain.conditions import is_true
from dreamhub_operator.reconcile.statuses import dump_status
from dreamhub_operator.reconcile.store_owners import StoreOwners
from dreamhub_operator.reconcile.tenant_deletion import DeletionObserved, erases, find_blockers, unfinished_jobs
from dreamhub_operator.reconcile.tenant_plan import Obstacle
from dreamhub_operator.reconcile.tenant_status import (
    PARTS,
    Correction,
    DeletionNews,
    Failure,
    Report,
    build_deleting_status,
    build_tenant_status,
)
from tests.unit.operator.builders import NOW, ingest_job, tenant

NAMESPACE = {"metadata": {"name": "dh-acme", "uid": "ns-uid", "labels": {"dreamhub.dev/owner-uid": "tenant-uid"}}}
RECORDED = {"namespace": {"name": "dh-acme", "uid": "ns-uid"}}


def whole() -> Report:
    return Report(namespace=NAMESPACE, owned=True, done=set(PARTS))


def test_all_parts_make_it_ready() -> None:
    status = build_tenant_status(tenant(), whole(), NOW)
    assert status.phase == "Active"
    assert is_true(status.conditions, "Ready")
    assert status.namespace is not None
    assert status.namespace.uid == "ns-uid"


def test_a_suspended_tenant_is_ready_and_says_so() -> None:
    status = build_tenant_status(tenant(suspend=True), whole(), NOW)
    assert status.phase == "Suspended"
    assert is_true(status.conditions, "Ready")


def test_a_failing_part_is_named_and_waited_for() -> None:
    report = Report(namespace=NAMESPACE, done=set(PARTS) - {"DatabaseReady"})
    report.failures["DatabaseReady"] = Failure(TenantReason.DATABASE_UNAVAILABLE, "PostgreSQL does not answer")
    status = build_tenant_status(tenant(), report, NOW)
    assert status.phase == "Provisioning"
    assert is_true(status.conditions, "Reconciling")
    assert is_true(status.conditions, "NamespaceReady")
    assert not is_true(status.conditions, "DatabaseReady")


def test_an_obstacle_that_needs_a_person_stalls() -> None:
    report = Report(obstacle=Obstacle(TenantReason.UNKNOWN_MODEL, "x"))
    assert build_tenant_status(tenant(), report, NOW).phase == "Failed"
    assert is_true(build_tenant_status(tenant(), report, NOW).conditions, "Stalled")


@pytest.mark.parametrize("reason", [TenantReason.NAMESPACE_FOREIGN, TenantReason.STORES_FOREIGN])
def test_what_is_anothers_makes_an_orphan(reason: TenantReason) -> None:
    status = build_tenant_status(tenant(), Report(obstacle=Obstacle(reason, "x")), NOW)
    assert status.phase == "Orphaned"


def test_the_namespace_is_recorded_once_the_stores_are_ours_too() -> None:
    expected = tenant({"namespace": {"name": "dh-acme", "uid": ""}})
    unclaimed = build_tenant_status(expected, Report(namespace=NAMESPACE, done=set(PARTS)), NOW)
    assert unclaimed.namespace is not None
    assert unclaimed.namespace.uid == ""
    owned = build_tenant_status(expected, whole(), NOW)
    assert owned.namespace is not None
    assert owned.namespace.uid == "ns-uid"


def test_corrections_add_up() -> None:
    report = whole()
    report.corrections = [Correction("NetworkPolicy/a", ("spec.ingress",), "kubectl")]
    first = build_tenant_status(tenant(), report, NOW)
    second = build_tenant_status(tenant(dump_status(first)), report, NOW)
    assert second.drift is not None
    assert (second.drift.corrected, second.drift.last_fields) == (2, "spec.ingress")
    quiet = build_tenant_status(tenant(dump_status(second)), whole(), NOW)
    assert quiet.drift == second.drift


def blockers(policy: str, **seen: Any) -> str:
    observed = DeletionObserved(**{"namespace": NAMESPACE, **seen})
    news = find_blockers(tenant(RECORDED, deletionPolicy=policy), observed)
    return f"{news.reason}: {'; '.join(news.blocked_by)}" if news is not None else ""


def test_block_counts_documents_and_unfinished_jobs() -> None:
    assert "3 document" in blockers("Block", documents=3)
    assert "IngestJob/x" in blockers("Block", unfinished=("x",))
    assert blockers("Block") == ""
    assert blockers("Erase", documents=3, unfinished=("x",)) == ""
    assert blockers("Retain", documents=3) == ""


@pytest.mark.parametrize("policy", ["Block", "Retain", "Erase"])
def test_only_the_very_namespace_may_go(policy: str) -> None:
    metadata = NAMESPACE["metadata"]
    assert "NamespaceForeign: " in blockers(policy, namespace={"metadata": {**metadata, "uid": "another"}})
    assert "not provably" in blockers(policy, namespace={"metadata": {**metadata, "labels": {}}})
    assert blockers(policy, namespace=None) == ""


@pytest.mark.parametrize("policy", ["Block", "Retain", "Erase"])
def test_a_deleted_definition_is_no_order(policy: str) -> None:
    words = blockers(policy, ordered=False)
    assert words.startswith("DefinitionDeleted: ")
    assert "dreamhub.dev/adopt=tenant-uid" in words


@pytest.mark.parametrize("policy", ["Block", "Retain", "Erase"])
@pytest.mark.parametrize("owners", [StoreOwners("tenant-uid", "another"), StoreOwners("another", "tenant-uid")])
def test_stores_that_are_half_anothers_block(policy: str, owners: StoreOwners) -> None:
    assert "StoresForeign: " in blockers(policy, owners=owners)
    assert blockers(policy, owners=StoreOwners("another", "another")) == "", "nothing is ours: nothing is touched"
    assert blockers(policy, owners=StoreOwners("tenant-uid", None)) == ""


def test_what_goes_with_the_tenant() -> None:
    assert erases(tenant(deletionPolicy="Erase"))
    assert erases(tenant(deletionPolicy="Block"))
    assert not erases(tenant(deletionPolicy="Retain"))


def test_finished_jobs_do_not_count() -> None:
    finished = ingest_job({"phase": "Failed"})
    assert unfinished_jobs([finished, ingest_job()]) == ("handbook",)


def test_a_blocked_deletion_stalls_with_its_reasons() -> None:
    news = DeletionNews(TenantReason.DELETION_BLOCKED, ("it has 3 documents",))
    status = build_deleting_status(tenant(RECORDED), news, NOW)
    assert status.deletion is not None
    assert status.deletion.blocked_by == ("it has 3 documents",)
    assert status.phase == "Deleting"
    assert is_true(status.conditions, "Stalled")
    going = build_deleting_status(tenant(RECORDED), DeletionNews(TenantReason.DELETING, progress="waiting"), NOW)
    assert is_true(going.conditions, "Reconciling")


def test_a_deletion_of_what_is_not_provably_ours_says_so() -> None:
    news = DeletionNews(TenantReason.NAMESPACE_FOREIGN, ("not provably",))
    assert build_deleting_status(tenant(RECORDED), news, NOW).phase == "Orphaned"
