"""The reference operators: what plain kopf handlers cost for each IngestJob.

`BARE_KOPF=nothing`: a change handler that does nothing; kopf's own bookkeeping remains. `BARE_KOPF=job`: one that makes
a Job by the official client's `kubernetes.aio` and patches the status, which is the least that a user sees of ours.
"""

import os
from typing import Any

import kopf
from kubernetes.aio import client, config


@kopf.on.startup()
async def configure(settings: kopf.OperatorSettings, memo: kopf.Memo, **_: Any) -> None:
    settings.posting.enabled = False
    settings.scanning.disabled = True
    await config.load_kube_config()  # type: ignore[no-untyped-call] # the client ships no types for it
    memo.batch = client.BatchV1Api(client.ApiClient())


@kopf.on.create("dreamhub.dev", "v1alpha1", "ingestjobs")
async def create_job(**arguments: Any) -> None:
    if os.environ["BARE_KOPF"] == "nothing":
        return
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"bare-{arguments['name']}"},
        "spec": {
            "template": {
                "spec": {"restartPolicy": "Never", "containers": [{"name": "worker", "image": "dreamhub/worker:test"}]}
            }
        },
    }
    kopf.adopt(job, owner=arguments["body"])
    await arguments["memo"].batch.create_namespaced_job(arguments["namespace"], job)
    arguments["patch"].status["phase"] = "Pending"
