"""Steps of a deletion against a cluster and stores that are played."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from dreamhub.crd.tenant import Tenant
from dreamhub.errors import UnavailableError
from dreamhub.names import OWNER_UID_LABEL
from dreamhub_operator.cluster import ObjectKey
from dreamhub_operator.kinds import DEFINITION, NAMESPACE, TENANT
from dreamhub_operator.reconcile.tenant_deletion import BLOCKED_SECONDS, delete_tenant
from dreamhub_operator.watched import Watched
from tests.unit.operator.builders import NOW, ingest_job, tenant

RECORDED = {"namespace": {"name": "dh-acme", "uid": "ns-uid"}}


def condition(kind: str) -> dict[str, Any]:
    return {
        "type": kind,
        "status": "True",
        "reason": "Provisioned",
        "message": "",
        "observedGeneration": 1,
        "lastTransitionTime": NOW.isoformat(),
    }


class Cluster:
    """Holds one Tenant and perhaps its namespace; remembers what was done."""

    def __init__(self, subject: Tenant, namespace: dict[str, Any] | None) -> None:
        self.body = subject.model_dump(mode="json", by_alias=True, exclude_none=True)
        self.namespace = namespace
        self.definition: dict[str, Any] | None = {"metadata": {"name": "tenants.dreamhub.dev"}}
        self.jobs: list[dict[str, Any]] = []
        self.deleted: list[str] = []

    async def get(self, key: ObjectKey) -> dict[str, Any] | None:
        return {NAMESPACE: self.namespace, TENANT: self.body, DEFINITION: self.definition}[key.kind]

    async def list(self, *_: object) -> list[dict[str, Any]]:
        return self.jobs

    async def create(self, _: object) -> None:
        """Takes Events."""

    async def delete(self, key: Any, uid: str) -> bool:
        self.deleted.append(uid)
        return bool(key)

    async def patch(self, _: object, changes: dict[str, Any], *, subresource: str = "") -> dict[str, Any]:
        if subresource:
            self.body["status"] = _merge(self.body.get("status", {}), changes["status"])
        else:
            self.body["metadata"]["finalizers"] = changes["metadata"]["finalizers"]
        version = str(int(self.body["metadata"]["resourceVersion"]) + 1)
        self.body["metadata"]["resourceVersion"] = version
        return self.body


def _merge(old: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """RFC 7386."""
    merged = dict(old)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return {key: value for key, value in merged.items() if value is not None}


class Stores:
    """Cache, database, objects and keys in one: every change is noted, and the one named `away` fails."""

    def __init__(self, away: str = "", documents: int = 0, owner: str | None = "tenant-uid") -> None:
        self.away = away
        self.documents = documents
        self.owner = owner
        self.calls: list[str] = []

    async def fetch_owner(self, _: str) -> str | None:
        return self.owner

    async def read_owner(self, tenant: str, *, live: bool) -> str | None:
        assert live
        return await self.fetch_owner(tenant)

    def __getattr__(self, name: str) -> Any:
        async def call(*_: object) -> int:
            self.calls.append(name)
            if name == self.away:
                raise UnavailableError(f"{name} does not answer")
            return self.documents

        return call


async def delete(subject: Tenant, cluster: Cluster, stores: Stores) -> float | None:
    watched = Watched()
    watched.put_tenant(cluster.body)
    context = SimpleNamespace(
        watched=watched, cluster=cluster, database=stores, cache=stores, objects=stores, now=lambda: NOW
    )
    return await delete_tenant(cast("Any", context), cast("Any", stores), subject)


def ready_of(cluster: Cluster) -> tuple[str, str]:
    (found,) = [c for c in cluster.body["status"]["conditions"] if c["type"] == "Ready"]
    return found["reason"], found["message"]


@pytest.mark.parametrize(
    ("away", "reason"),
    [
        ("delete_user", "CacheUnavailable"),
        ("claim", "DatabaseUnavailable"),
        ("end_login", "DatabaseUnavailable"),
        ("erase", "DatabaseUnavailable"),
        ("release", "DatabaseUnavailable"),
        ("delete_all", "StorageUnavailable"),
        ("destroy", "ClusterRefused"),
        ("count_documents", "DatabaseUnavailable"),
    ],
)
async def test_what_does_not_answer_is_in_the_status(away: str, reason: str) -> None:
    subject = tenant(RECORDED, deletionPolicy="Block")
    cluster = Cluster(subject, None)
    with pytest.raises(UnavailableError):
        await delete(subject, cluster, Stores(away))
    assert ready_of(cluster) == (reason, f"{away} does not answer")
    with pytest.raises(UnavailableError):
        await delete(Tenant.model_validate(cluster.body), cluster, Stores(away))
    assert ready_of(cluster) == (reason, f"{away} does not answer")
    assert await delete(Tenant.model_validate(cluster.body), cluster, Stores()) is None
    assert cluster.body["metadata"]["finalizers"] == []


STRANGERS = {"metadata": {"name": "dh-acme", "uid": "theirs", "labels": {OWNER_UID_LABEL: "another"}}}
OURS = {"metadata": {"name": "dh-acme", "uid": "ns-uid", "labels": {OWNER_UID_LABEL: "tenant-uid"}}}


@pytest.mark.parametrize("policy", ["Block", "Retain", "Erase"])
@pytest.mark.parametrize("namespace", [STRANGERS, {"metadata": {"name": "dh-acme", "uid": "theirs"}}, None])
@pytest.mark.parametrize("owner", ["another", None])
async def test_a_tenant_that_never_was_goes_and_touches_nothing(
    policy: str, namespace: dict[str, Any] | None, owner: str | None
) -> None:
    subject = tenant(deletionPolicy=policy)
    cluster, stores = Cluster(subject, namespace), Stores(documents=3, owner=owner)
    assert await delete(subject, cluster, stores) is None
    assert cluster.body["metadata"]["finalizers"] == []
    assert (stores.calls, cluster.deleted) == ([], [])


async def test_what_is_from_before_owners_were_recorded_goes_by_the_status() -> None:
    subject = tenant({"conditions": [condition("DatabaseReady")]}, deletionPolicy="Erase")
    cluster, stores = Cluster(subject, STRANGERS), Stores(owner=None)
    assert await delete(subject, cluster, stores) is None
    assert stores.calls.index("claim") < stores.calls.index("erase")
    assert cluster.deleted == []


async def test_a_namesakes_stores_stay_whatever_the_status_says() -> None:
    subject = tenant({"conditions": [condition("DatabaseReady")]}, deletionPolicy="Erase")
    cluster, stores = Cluster(subject, None), Stores(owner="another")
    assert await delete(subject, cluster, stores) is None
    assert stores.calls == []


async def test_an_expected_namespace_is_recorded_before_it_goes() -> None:
    subject = tenant({"namespace": {"name": "dh-acme", "uid": ""}}, deletionPolicy="Erase")
    cluster = Cluster(subject, OURS)
    assert await delete(subject, cluster, Stores()) == 0
    assert cluster.body["status"]["namespace"] == {"name": "dh-acme", "uid": "ns-uid"}
    await delete(Tenant.model_validate(cluster.body), cluster, Stores())
    assert cluster.deleted == ["ns-uid"]


async def test_a_namespace_that_was_not_expected_stays_although_it_bears_our_label() -> None:
    subject = tenant(deletionPolicy="Erase")
    cluster, stores = Cluster(subject, OURS), Stores()
    assert await delete(subject, cluster, stores) == BLOCKED_SECONDS
    assert (stores.calls, cluster.deleted) == ([], [])
    assert cluster.body["status"]["phase"] == "Orphaned"


@pytest.mark.parametrize("definition", [None, {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}])
async def test_with_its_definition_nothing_goes(definition: dict[str, Any] | None) -> None:
    subject = tenant(RECORDED, deletionPolicy="Erase")
    cluster, stores = Cluster(subject, OURS), Stores()
    cluster.definition = definition
    assert await delete(subject, cluster, stores) == BLOCKED_SECONDS
    assert (stores.calls, cluster.deleted) == ([], [])
    assert ready_of(cluster)[0] == "DefinitionDeleted"


async def test_the_live_tenant_decides() -> None:
    """The policy was changed, or the name has become another's, since the watch told."""
    subject = tenant(RECORDED, deletionPolicy="Erase")
    cluster, stores = Cluster(subject, None), Stores()
    cluster.body["spec"]["deletionPolicy"] = "Retain"
    await delete(subject, cluster, stores)
    assert "erase" not in stores.calls
    cluster.body["metadata"] |= {"uid": "another", "finalizers": ["dreamhub.dev/operator"]}
    stores.calls.clear()
    assert await delete(subject, cluster, stores) is None
    assert stores.calls == []


async def test_unfinished_jobs_are_asked_of_the_cluster() -> None:
    subject = tenant(RECORDED, deletionPolicy="Block")
    cluster = Cluster(subject, OURS)
    cluster.jobs = [ingest_job().model_dump(mode="json", by_alias=True, exclude_none=True)]
    await delete(subject, cluster, Stores())
    assert cluster.deleted == []
    assert cluster.body["status"]["deletion"]["blockedBy"] == ["IngestJob/handbook has not ended"]
