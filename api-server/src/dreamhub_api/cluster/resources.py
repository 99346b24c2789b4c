"""The objects that the API server reads and writes, by their Kubernetes paths."""

import base64
import binascii
from typing import Any

import structlog

from dreamhub import names
from dreamhub.crd.ingest_job import IngestJob
from dreamhub.crd.tenant import Tenant
from dreamhub.domain.envelope import MasterKeys
from dreamhub.errors import InvalidInputError
from dreamhub_api.auth.token_review import Review
from dreamhub_api.cluster.kubernetes import KubernetesApi, Object
from dreamhub_api.cluster.watch_cache import Source

_GROUP = f"/apis/{names.API_GROUP}/{names.API_VERSION}"
_KEYS_SUFFIX = ".json"

_log = structlog.get_logger(__name__)


def tenants() -> Source[Tenant]:
    return Source(f"{_GROUP}/tenants", Tenant.model_validate)


def ingest_jobs() -> Source[IngestJob]:
    return Source(f"{_GROUP}/ingestjobs", parse_ingest_job)


def secret_path(namespace: str, name: str = "") -> str:
    return f"/api/v1/namespaces/{namespace}/secrets/{name}".rstrip("/")


def tenant_keys(namespace: str) -> Source[dict[str, str]]:
    """The one Secret with every tenant's data keys, by tenant, as they are kept: wrapped."""
    selector = f"metadata.name={names.KEYS_SECRET}"
    return Source(secret_path(namespace), parse_tenant_keys, field_selector=selector, lists=False)


def master_keys(namespace: str) -> Source[MasterKeys]:
    """What wraps them."""
    selector = f"metadata.name={names.MASTER_KEYS_SECRET}"
    return Source(secret_path(namespace), parse_master_keys, field_selector=selector, lists=False)


def parse_ingest_job(item: Object) -> IngestJob:
    """An IngestJob without its inline text: the cache holds every job of every tenant, and nothing reads the text."""
    inline = item.get("spec", {}).get("source", {}).get("inline")
    if not inline:
        return IngestJob.model_validate(item)
    spec: dict[str, Any] = item["spec"]
    source = {**spec["source"], "inline": {**inline, "text": "-"}}
    return IngestJob.model_validate({**item, "spec": {**spec, "source": source}})


def parse_tenant_keys(item: Object) -> dict[str, str]:
    """Entries that are no text lock out their tenant only."""
    found = {}
    for entry, value in (item.get("data") or {}).items():
        if not entry.endswith(_KEYS_SUFFIX):
            continue
        try:
            found[entry.removesuffix(_KEYS_SUFFIX)] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            _log.error("a tenant's data keys are no text", entry=entry, secret=names.KEYS_SECRET)
    return found


def parse_master_keys(item: Object) -> MasterKeys:
    """Raises ValueError, which never quotes the text: the keys that were read before serve on."""
    try:
        text = base64.b64decode((item.get("data") or {})[names.MASTER_KEYS_ENTRY], validate=True).decode()
        return MasterKeys.parse(text)
    except (KeyError, InvalidInputError, binascii.Error, UnicodeDecodeError):
        raise ValueError(f"the Secret {names.MASTER_KEYS_SECRET} holds no master keys") from None


class Cluster:
    """What the services ask of Kubernetes."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api

    async def create_ingest_job(self, namespace: str, manifest: Object) -> Object:
        """Raises ConflictError when the name is taken, InvalidInputError when the schema refuses it."""
        return await self._api.request("POST", _jobs_path(namespace), body=manifest)

    async def fetch_ingest_job(self, namespace: str, name: str) -> Object:
        """Raises NotFoundError."""
        return await self._api.request("GET", f"{_jobs_path(namespace)}/{name}")

    async def patch_ingest_job(self, namespace: str, name: str, changes: Object) -> Object:
        """A merge patch. Raises NotFoundError, ConflictError, ForbiddenError, InvalidInputError."""
        return await self._api.request("PATCH", f"{_jobs_path(namespace)}/{name}", body=changes)

    async def delete_ingest_job(self, namespace: str, name: str, uid: str) -> None:
        """Delete this very job: one of the same name made meanwhile stays. Raises NotFoundError, ConflictError."""
        options = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        await self._api.request("DELETE", f"{_jobs_path(namespace)}/{name}", body=options)

    async def review_token(self, token: str) -> Review:
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [names.TOKEN_AUDIENCE]},
        }
        answer = await self._api.request("POST", "/apis/authentication.k8s.io/v1/tokenreviews", body=body)
        status = answer.get("status", {})
        return Review(
            authenticated=bool(status.get("authenticated")),
            username=str(status.get("user", {}).get("username", "")),
            audiences=tuple(status.get("audiences") or ()),
        )


def _jobs_path(namespace: str) -> str:
    return f"{_GROUP}/namespaces/{namespace}/ingestjobs"
