from typing import Any

from dreamhub.crd.tenant import TenantReason
from dreamhub.domain.conditions import is_true
from dreamhub_operator.reconcile.statuses import dump_status
from dreamhub_operator.reconcile.tenant_deletion import DeletionObserved, erases, find_blockers, unfinished_jobs
from dreamhub_operator.reconcile.tenant_plan import Obstacle
from dreamhub_operator.reconcile.tenant_status import (
    PARTS,
    Correction,
    Failure,
    Report,
    build_deleting_status,
    build_tenant_status,
)
from tests.unit.operator.builders import NOW, ingest_job, tenant

NAMESPACE = {"metadata": {"name": "dh-acme", "uid": "ns-uid", "labels": {"dreamhub.dev/owner-uid": "tenant-uid"}}}
RECORDED = {"namespace": {"name": "dh-acme", "uid": "ns-uid"}}


def whole() -> Report:
    return Report(namespace=NAMESPACE, done=set(PARTS))


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
    report = Report(obstacle=Obstacle(TenantReason.NAMESPACE_FOREIGN, "x"))
    assert build_tenant_status(tenant(), report, NOW).phase == "Failed"
    assert build_tenant_status(tenant(RECORDED), report, NOW).phase == "Orphaned"
    assert is_true(build_tenant_status(tenant(), report, NOW).conditions, "Stalled")


def test_corrections_add_up() -> None:
    report = whole()
    report.corrections = [Correction("NetworkPolicy/a", ("spec.ingress",), "kubectl")]
    first = build_tenant_status(tenant(), report, NOW)
    second = build_tenant_status(tenant(dump_status(first)), report, NOW)
    assert second.drift is not None
    assert (second.drift.corrected, second.drift.last_fields) == (2, "spec.ingress")
    quiet = build_tenant_status(tenant(dump_status(second)), whole(), NOW)
    assert quiet.drift == second.drift


def blockers(policy: str, documents: int = 0, unfinished: tuple[str, ...] = (), namespace: Any = NAMESPACE) -> str:
    seen = DeletionObserved(namespace, documents, unfinished)
    return "; ".join(find_blockers(tenant(RECORDED, deletionPolicy=policy), seen))


def test_block_counts_documents_and_unfinished_jobs() -> None:
    assert "3 document" in blockers("Block", documents=3)
    assert "IngestJob/x" in blockers("Block", unfinished=("x",))
    assert blockers("Block") == ""
    assert blockers("Erase", documents=3, unfinished=("x",)) == ""
    assert blockers("Retain", documents=3) == ""


def test_only_the_very_namespace_may_go() -> None:
    metadata = NAMESPACE["metadata"]
    for policy in ("Block", "Retain", "Erase"):
        assert "not provably" in blockers(policy, namespace={"metadata": {**metadata, "uid": "another"}})
        assert "not provably" in blockers(policy, namespace={"metadata": {**metadata, "labels": {}}})
        assert blockers(policy, namespace=None) == ""


def test_what_goes_with_the_tenant() -> None:
    assert erases(tenant(deletionPolicy="Erase"))
    assert erases(tenant(deletionPolicy="Block"))
    assert not erases(tenant(deletionPolicy="Retain"))


def test_finished_jobs_do_not_count() -> None:
    finished = ingest_job({"phase": "Failed"})
    assert unfinished_jobs([finished, ingest_job()]) == ("handbook",)


def test_a_blocked_deletion_stalls_with_its_reasons() -> None:
    status = build_deleting_status(tenant(RECORDED), ("it has 3 documents",), "", NOW)
    assert status.deletion is not None
    assert status.deletion.blocked_by == ("it has 3 documents",)
    assert is_true(status.conditions, "Stalled")
    going = build_deleting_status(tenant(RECORDED), (), "waiting", NOW)
    assert is_true(going.conditions, "Reconciling")
