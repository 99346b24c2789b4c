"""A Tenant applied with kubectl: everything it promises is there, stays there, and goes when it goes."""

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from dreamhub import names
from tests.e2e.kube import Json, Kube, eventually
from tests.e2e.tenants import Tenant, make_ready, new_name, open_tenant, remove, tenant_manifest, until_served
from tests.e2e.traces import ask_database, list_objects

HARMLESS: Json = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "mine"},
    "spec": {
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "main",
                "image": "busybox",
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            }
        ],
    },
}
"""Nothing that Pod Security has anything against."""


@pytest_asyncio.fixture(scope="module")
async def watched(kube: Kube, server: str) -> AsyncIterator[Tenant]:
    owners = [{"kind": "User", "name": "ines"}, {"kind": "Group", "name": "admins"}]
    async with open_tenant(kube, server, "watched", owners=owners) as opened:
        yield opened


async def test_namespace_is_walled_in(watched: Tenant) -> None:
    namespace = await watched.kube.get("namespace", watched.kube.namespace)
    tenant = await watched.kube.get("tenant", watched.name)
    labels = namespace["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert labels[names.TENANT_LABEL] == watched.name
    assert labels[names.OWNER_UID_LABEL] == tenant["metadata"]["uid"]
    assert tenant["status"]["namespace"] == {
        "name": watched.kube.namespace,
        "uid": namespace["metadata"]["uid"],
    }
    present = {
        kind: {item["metadata"]["name"] for item in await watched.kube.items(kind)}
        for kind in ("serviceaccounts", "networkpolicies", "resourcequotas", "limitranges", "secrets")
    }
    assert {"worker", "owner"} <= present["serviceaccounts"]
    assert present["networkpolicies"] == {"default-deny", "worker-egress", "source-egress"}
    assert present["resourcequotas"]
    assert present["limitranges"]
    assert names.CREDENTIALS_SECRET in present["secrets"]


async def test_conditions_are_those_of_kstatus(watched: Tenant) -> None:
    tenant = await watched.kube.get("tenant", watched.name)
    conditions = {item["type"]: item["status"] for item in tenant["status"]["conditions"]}
    assert (conditions["Ready"], conditions["Reconciling"], conditions["Stalled"]) == ("True", "False", "False")
    assert tenant["status"]["phase"] == "Active"
    assert tenant["status"]["observedGeneration"] == tenant["metadata"]["generation"]


@pytest.mark.parametrize("who", [("--as", "ines"), ("--as", "someone", "--as-group", "admins")])
async def test_owners_may_order_work_and_nothing_more(watched: Tenant, who: tuple[str, ...]) -> None:
    async def may(*what: str) -> bool:
        return (await watched.kube.run("auth", "can-i", *what, *who)).code == 0

    assert await may("create", "ingestjobs.dreamhub.dev")
    assert await may("watch", "ingestjobs.dreamhub.dev")
    assert await may("list", "events")
    assert not await may("get", "secrets")
    for verb in ("get", "create"):
        assert not await may(verb, "pods")
        assert not await may(verb, "jobs.batch")
    assert not await may("get", "pods/log")
    assert not await may("delete", "networkpolicies.networking.k8s.io")
    elsewhere = await watched.kube.within("default").run("auth", "can-i", "get", "ingestjobs.dreamhub.dev", *who)
    assert elsewhere.code != 0


async def test_owner_whom_somebody_gave_edit_runs_no_pod_and_opens_no_wall(watched: Tenant) -> None:
    """ClusterRole `edit` may make pods, exec into them and change NetworkPolicies; admission takes that back."""
    await watched.kube.ask("create", "rolebinding", "generous", "--clusterrole=edit", "--user=ines")
    ines = ("--as", "ines")

    async def given() -> bool:
        return (await watched.kube.run("auth", "can-i", "create", "pods", *ines)).code == 0

    try:
        await eventually(given, 90, "the right to make pods")
        pod = await watched.kube.run("create", "--filename", "-", *ines, stdin=json.dumps(HARMLESS))
        wall = await watched.kube.run("delete", "networkpolicy", "default-deny", *ines)
        token = await watched.kube.run("create", "token", "worker", *ines)
    finally:
        await watched.kube.ask("delete", "rolebinding", "generous", "--ignore-not-found")
    assert "only DreamHub runs workloads" in pod.err
    assert "these are managed by DreamHub" in wall.err
    assert "for service account owner only" in token.err


async def test_suspended_tenant_takes_no_ingest_job_from_kubectl(kube: Kube, server: str) -> None:
    async with open_tenant(kube, server, "resting", suspend=True) as resting:
        manifest = resting.job(new_name("late"), inline={"name": "a.md", "text": "x"})
        assert f"tenant {resting.name} is suspended" in await resting.kube.refuse(manifest)


@pytest.mark.parametrize("path", ["tenant.spec.owners", "tenant.spec.deletionPolicy", "ingestjob.spec.source.inline"])
async def test_kubectl_explains_every_field(kube: Kube, path: str) -> None:
    explained = await kube.ask("explain", path)
    description = explained.partition("DESCRIPTION:")[2].split("\n")[1].strip()
    assert len(description) > 20, explained


async def test_short_names_and_columns(watched: Tenant) -> None:
    listing = await watched.kube.ask("get", "tenants")
    assert listing.splitlines()[0].split()[0] == "NAME"
    assert {"PHASE", "READY", "AGE"} <= set(listing.splitlines()[0].split())
    resources = await watched.kube.ask("api-resources", "--api-group", "dreamhub.dev", "--no-headers")
    assert all(len(line.split()) == 5 for line in resources.splitlines()), "each kind has a short name"


async def test_drift_is_repaired_and_counted(watched: Tenant) -> None:
    before = (await watched.kube.get("tenant", watched.name))["status"].get("drift", {}).get("corrected", 0)
    await watched.kube.ask("delete", "networkpolicy", "default-deny")

    async def back() -> Json | None:
        return await watched.kube.find("networkpolicy", "default-deny")

    await eventually(back, 60, "the NetworkPolicy to come back")

    async def counted() -> bool:
        drift = (await watched.kube.get("tenant", watched.name))["status"].get("drift", {})
        return bool(drift.get("corrected", 0) > before and "default-deny" in drift.get("lastObject", ""))

    await eventually(counted, 90, "the repair to be told in the status")


async def test_widened_wall_is_narrowed_again(watched: Tenant) -> None:
    await watched.kube.patch("networkpolicy default-deny", {"spec": {"egress": [{}]}})

    async def narrow() -> bool:
        policy = await watched.kube.get("networkpolicy", "default-deny")
        return not policy["spec"].get("egress")

    await eventually(narrow, 60, "the NetworkPolicy to be as it was")


async def test_tenant_with_documents_is_not_deleted_by_default(kube: Kube, server: str) -> None:
    async with open_tenant(kube, server, "blocked", deletionPolicy="Block") as blocked:
        await blocked.upload("note.txt", b"Something worth keeping.")
        await kube.ask("delete", "tenant", blocked.name, "--wait=false")

        async def told() -> Json | None:
            tenant = await kube.get("tenant", blocked.name)
            return tenant if tenant["status"].get("deletion", {}).get("blockedBy") else None

        tenant = await eventually(told, 60, "the status to say what blocks the deletion")
        assert "document" in str(tenant["status"]["deletion"]["blockedBy"])
        assert await kube.find("namespace", blocked.kube.namespace) is not None
        await kube.patch(f"tenant {blocked.name}", {"spec": {"deletionPolicy": "Erase"}})


async def test_erased_tenant_leaves_nothing_and_its_name_starts_anew(kube: Kube, server: str) -> None:
    async with open_tenant(kube, server, "phoenix") as first:
        await first.add("secret.txt", "The treasure lies under the old oak.")
        name, uid = first.name, (await kube.get("tenant", first.name))["metadata"]["uid"]
        await remove(kube, name)
        assert await list_objects(kube, f"tenants/{name}/") == ()
        assert await ask_database(kube, f"select to_regnamespace('\"{names.database_role(name)}\"')") == ""
        assert await ask_database(kube, f"select to_regrole('\"{names.database_role(name)}\"')") == ""
        again = await make_ready(kube, name)
        assert again["metadata"]["uid"] != uid
        await until_served(first.client, name)
        assert await first.documents() == []
        assert await first.search("treasure under the oak") == ()


async def test_two_tenants_at_once_do_not_hinder_each_other(kube: Kube) -> None:
    pair = [new_name("twin"), new_name("twin")]
    try:
        await kube.apply(*(tenant_manifest(name) for name in pair))
        for name in pair:
            await kube.wait_condition(f"tenant {name}", "Ready", seconds=90)
    finally:
        for name in pair:
            await remove(kube, name)
