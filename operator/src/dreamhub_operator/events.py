"""Kubernetes Events: what `kubectl describe` and `kubectl get events` tell about an object's life."""

import time
from datetime import UTC, datetime
from typing import Literal

import structlog

from dreamhub.crd.ingest_job import IngestJob
from dreamhub.crd.tenant import Tenant
from dreamhub.domain.conditions import format_time
from dreamhub.errors import DreamHubError
from dreamhub_operator.cluster import FIELD_MANAGER, Cluster
from dreamhub_operator.kinds import EVENT, Manifest

MESSAGE_LENGTH = 1024
CLUSTER_SCOPED_NAMESPACE = "default"
"""Where Events about objects without a namespace live, by convention of the API server."""

log = structlog.get_logger()


def build_event(
    about: Tenant | IngestJob, kind: Literal["Normal", "Warning"], reason: str, message: str, nanoseconds: int
) -> Manifest:
    """An Event whose name carries the time, as client-go builds it."""
    metadata = about.metadata
    moment = format_time(datetime.fromtimestamp(nanoseconds / 1e9, tz=UTC))
    reference = {
        "apiVersion": about.api_version,
        "kind": about.kind,
        "name": metadata.name,
        "uid": metadata.uid,
        "resourceVersion": metadata.resource_version,
    }
    if metadata.namespace:
        reference["namespace"] = metadata.namespace
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.name,
        "metadata": {
            "name": f"{metadata.name}.{nanoseconds:x}",
            "namespace": metadata.namespace or CLUSTER_SCOPED_NAMESPACE,
        },
        "involvedObject": reference,
        "type": kind,
        "reason": reason,
        "message": message[:MESSAGE_LENGTH],
        "source": {"component": FIELD_MANAGER},
        "reportingComponent": FIELD_MANAGER,
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
    }


async def emit(
    cluster: Cluster, about: Tenant | IngestJob, kind: Literal["Normal", "Warning"], reason: str, message: str
) -> None:
    """Best effort: an Event is a note, so one that cannot be written is logged and costs nothing else."""
    try:
        await cluster.create(build_event(about, kind, reason, message, time.time_ns()))
    except DreamHubError as error:
        log.warning("event not written", about=about.metadata.name, reason=reason, error=error.message)
