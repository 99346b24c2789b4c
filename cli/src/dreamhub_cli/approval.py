"""Approving through kubectl: under the caller's own name, which the cluster's admission checks against the record."""

import asyncio
import json
from asyncio.subprocess import PIPE

from dreamhub_client.errors import CredentialError
from dreamhub_client.kube import KubeAccess

APPROVED_BY = "dreamhub.dev/approved-by"


async def approve_by_kubectl(access: KubeAccess, job: str) -> str:
    """Returns the name under which it was approved.

    Raises:
        CredentialError: kubectl is missing, or the cluster refuses.
    """
    review = json.loads(await _kubectl(access, "auth", "whoami", "--output", "json"))
    name = str(review["status"]["userInfo"]["username"])
    patch = {"spec": {"approved": True}, "metadata": {"annotations": {APPROVED_BY: name}}}
    await _kubectl(
        access,
        *("--namespace", access.tenant_namespace, "patch", "ingestjobs.dreamhub.dev", job),
        *("--type", "merge", "--patch", json.dumps(patch)),
    )
    return name


async def _kubectl(access: KubeAccess, *arguments: str) -> bytes:
    try:
        process = await asyncio.create_subprocess_exec(*access.command(*arguments), stdout=PIPE, stderr=PIPE)
    except FileNotFoundError as error:
        raise CredentialError("kubectl is not installed or not on the PATH") from error
    out, err = await process.communicate()
    if process.returncode != 0:
        raise CredentialError(f"kubectl: {err.decode(errors='replace').strip() or 'it failed without a word'}")
    return out
