"""IngestJobs applied with kubectl, from a text in the object to a search hit, and what the status tells meanwhile."""

from tests.e2e.kube import Json, eventually
from tests.e2e.tenants import JOB_SECONDS, Tenant, ingest_job, new_name

TEXT = "# Loan desk\n\nThe loan desk lends inflatable boats on {day}. A boat has to be returned dry."


async def finish(tenant: Tenant, name: str, kind: str = "Complete") -> Json:
    await tenant.kube.wait_condition(f"ingestjob {name}", kind, seconds=JOB_SECONDS)
    return await tenant.kube.get("ingestjob", name)


async def test_inline_text_becomes_a_search_hit(tenant: Tenant) -> None:
    name = new_name("inline")
    text = TEXT.format(day="Mondays and Thursdays")
    await tenant.kube.apply(tenant.job(name, inline={"name": f"{name}.md", "text": text}))
    job = await finish(tenant, name)
    status = job["status"]
    assert (status["phase"], status["reason"]) == ("Succeeded", "Ingested")
    counts = {"total": 1, "done": 1, "skipped": 0, "failed": 0, "unread": 0, "deleted": 0}
    assert status["progress"]["documents"] == counts
    assert status["progress"]["percent"] == 100
    assert status["progress"]["chunks"] >= 1
    assert status["observedGeneration"] == job["metadata"]["generation"]
    assert status["build"]["name"]
    assert status["completionTime"] >= status["startTime"]
    hits = await tenant.search("when can I borrow an inflatable boat?")
    assert hits[0].document_name == f"{name}.md"
    assert "Loan desk" in (hits[0].title, *hits[0].heading_path)


async def test_job_tells_its_story_by_events(tenant: Tenant) -> None:
    name = new_name("story")
    await tenant.kube.apply(tenant.job(name, inline={"name": f"{name}.md", "text": "A short story."}))
    await finish(tenant, name)

    async def told() -> bool:
        events = await tenant.kube.items("events", "--field-selector", f"involvedObject.name={name}")
        return len({event["reason"] for event in events if event["involvedObject"]["kind"] == "IngestJob"}) >= 2

    await eventually(told, 90, "events about the job's start and end")


async def test_work_is_one_restricted_pod_without_a_token(tenant: Tenant) -> None:
    name = new_name("pod")
    await tenant.kube.apply(tenant.job(name, inline={"name": f"{name}.md", "text": "Who runs me?"}))
    job = await finish(tenant, name)
    pods = await tenant.kube.items("pods", "--selector", f"batch.kubernetes.io/job-name={job['status']['jobName']}")
    assert len(pods) == 1
    spec = pods[0]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    container = spec["containers"][0]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert not [mount for mount in container["volumeMounts"] if "serviceaccount" in mount["mountPath"]]


async def test_same_text_again_is_skipped_unless_forced(tenant: Tenant) -> None:
    file = f"{new_name('same')}.md"
    text = TEXT.format(day="Sundays")
    counts: list[Json] = []
    for force in (False, False, True):
        name = new_name("same")
        manifest = tenant.job(name, inline={"name": file, "text": text})
        manifest["spec"]["force"] = force
        await tenant.kube.apply(manifest)
        counts.append((await finish(tenant, name))["status"]["progress"]["documents"])
    assert [count["skipped"] for count in counts] == [0, 1, 0]
    assert [count["done"] for count in counts] == [1, 1, 1]
    assert len([document for document in await tenant.documents() if document.name == file]) == 1


async def test_tags_of_the_job_are_tags_of_its_documents(tenant: Tenant) -> None:
    name = new_name("tags")
    manifest = tenant.job(name, inline={"name": f"{name}.md", "text": "Tagged text."})
    manifest["spec"]["tags"] = ["boats", "loans"]
    await tenant.kube.apply(manifest)
    await finish(tenant, name)
    document = next(document for document in await tenant.documents() if document.name == f"{name}.md")
    assert set(document.tags) == {"boats", "loans"}


async def test_suspended_job_waits_and_then_runs(tenant: Tenant) -> None:
    name = new_name("later")
    manifest = tenant.job(name, inline={"name": f"{name}.md", "text": "Not yet."})
    manifest["spec"]["suspend"] = True
    await tenant.kube.apply(manifest)

    async def waits() -> bool:
        job = await tenant.kube.get("ingestjob", name)
        return bool(job.get("status", {}).get("reason") == "Suspended")

    await eventually(waits, 90, "the job to say that it is suspended")
    await tenant.kube.patch(f"ingestjob {name}", {"spec": {"suspend": False}})
    assert (await finish(tenant, name))["status"]["phase"] == "Succeeded"


async def test_finished_job_goes_after_its_time_and_its_document_stays(tenant: Tenant) -> None:
    name = new_name("short")
    manifest = tenant.job(name, inline={"name": f"{name}.md", "text": "Here today."})
    manifest["spec"]["ttlSecondsAfterFinished"] = 1
    await tenant.kube.apply(manifest)

    async def gone() -> bool:
        return await tenant.kube.find("ingestjob", name) is None

    await eventually(gone, JOB_SECONDS, "the finished job to be deleted")
    assert f"{name}.md" in {document.name for document in await tenant.documents()}


async def test_deleted_job_takes_its_pod_along(tenant: Tenant) -> None:
    name = new_name("stopped")
    await tenant.kube.apply(tenant.job(name, inline={"name": f"{name}.md", "text": "Stop me."}))

    async def started() -> Json | None:
        job = await tenant.kube.get("ingestjob", name)
        return job if job.get("status", {}).get("jobName") else None

    job = await eventually(started, 90, "the Kubernetes Job")
    await tenant.kube.ask("delete", "ingestjob", name)

    async def gone() -> bool:
        return await tenant.kube.find("job", job["status"]["jobName"]) is None

    await eventually(gone, 90, "the Kubernetes Job to be gone")


async def test_job_outside_of_a_tenant_is_refused_in_a_sentence(tenant: Tenant) -> None:
    manifest = ingest_job(new_name("lost"), "default", {"inline": {"name": "a.md", "text": "x"}})
    assert "namespace default is no tenant's" in await tenant.kube.within("default").refuse(manifest)
