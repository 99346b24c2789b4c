"""What matters of a Kubernetes Job and its pods, read from their JSON. Pure, and small enough to keep."""

from collections.abc import Iterable
from dataclasses import dataclass

from dreamhub.crd.ingest_job import IngestReason
from dreamhub.names import KUEUE_LABEL
from dreamhub_operator.desired.job import SIGNED_AT, SPEC_HASH
from dreamhub_operator.kinds import Manifest

_IMAGE_REASONS = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_CONFIG_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_MESSAGE_LENGTH = 300


@dataclass(frozen=True, slots=True)
class JobState:
    name: str
    uid: str
    spec_hash: str
    signed_at: int
    suspended: bool
    active: int
    failed: int
    failed_indexes: str
    """Workers that have used up their tries, such as `1,4-6`. The others go on."""
    complete: bool
    """The Job's Complete condition holds."""
    failure: str | None
    """Reason of its Failed condition, or None."""
    failure_message: str
    created_at: str
    expires: bool
    """Whether its ttlSecondsAfterFinished is set, which is the last thing done to a Job."""
    kueue_queue: str = ""
    """The queue of Kueue that it waits in, or was started from; empty for none."""

    @property
    def lost_collector(self) -> bool:
        """Whether its first worker, which reads the source for all of them, has used up its tries."""
        return self.failed_indexes.split(",")[0].split("-")[0] == "0"

    @property
    def is_live(self) -> bool:
        """Whether it makes pods still."""
        return not (self.complete or self.failure is not None or self.suspended)


@dataclass(frozen=True, slots=True)
class PodState:
    name: str
    phase: str
    trouble: tuple[IngestReason, str] | None
    """Why it does not start, with what Kubernetes says about it."""
    ended: str | None
    """How its container ended badly: OOMKilled, Error, ..."""
    exit_code: int | None
    message: str
    """What the container left as its termination message."""


def read_job(body: Manifest) -> JobState:
    metadata, spec, status = body["metadata"], body.get("spec", {}), body.get("status", {})
    annotations = metadata.get("annotations") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or () if c["status"] == "True"}
    failed = conditions.get("Failed")
    signed = annotations.get(SIGNED_AT, "")
    return JobState(
        name=metadata["name"],
        uid=metadata["uid"],
        spec_hash=annotations.get(SPEC_HASH, ""),
        signed_at=int(signed) if signed.isdigit() else 0,
        suspended=bool(spec.get("suspend")),
        active=status.get("active", 0),
        failed=status.get("failed", 0),
        failed_indexes=status.get("failedIndexes", ""),
        complete="Complete" in conditions,
        failure=failed.get("reason", "Failed") if failed else None,
        failure_message=_shorten(failed.get("message", "")) if failed else "",
        created_at=metadata.get("creationTimestamp", ""),
        expires=spec.get("ttlSecondsAfterFinished") is not None,
        kueue_queue=(metadata.get("labels") or {}).get(KUEUE_LABEL, ""),
    )


def read_pod(body: Manifest) -> PodState:
    status = body.get("status", {})
    container: Manifest = next(iter(status.get("containerStatuses") or ()), {})
    ended = (container.get("state") or {}).get("terminated") or {}
    bad = ended.get("exitCode", 0) != 0
    return PodState(
        name=body["metadata"]["name"],
        phase=status.get("phase", "Pending"),
        trouble=_trouble(status, container),
        ended=ended.get("reason", "Error") if bad else None,
        exit_code=ended.get("exitCode"),
        message=_shorten(ended.get("message", "")),
    )


def _trouble(status: Manifest, container: Manifest) -> tuple[IngestReason, str] | None:
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason, message = waiting.get("reason", ""), _shorten(waiting.get("message", ""))
    if reason in _IMAGE_REASONS:
        return IngestReason.IMAGE_UNAVAILABLE, f"{reason}: {message}"
    if reason in _CONFIG_REASONS:
        return IngestReason.CONTAINER_CONFIG_INVALID, f"{reason}: {message}"
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            return IngestReason.UNSCHEDULABLE, _shorten(condition.get("message", ""))
    return None


def _shorten(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _MESSAGE_LENGTH else flat[: _MESSAGE_LENGTH - 1] + "…"


def has_ended(job: JobState, pods: Iterable[PodState]) -> bool:
    """Whether a worker is over, so that its last word can be asked for. Pods tell it seconds before their Job does."""
    ended = job.complete or job.failure is not None or job.lost_collector
    return ended or any(pod.phase in {"Succeeded", "Failed"} for pod in pods)


def find_trouble(pods: Iterable[PodState]) -> tuple[IngestReason, str] | None:
    """The trouble of a pod that has not ended, if any."""
    return next((pod.trouble for pod in pods if pod.trouble and pod.phase == "Pending"), None)


def find_bad_end(pods: Iterable[PodState]) -> PodState | None:
    """A pod that ended badly; one that ran out of memory tells more than others."""
    bad = [pod for pod in pods if pod.ended]
    return next((pod for pod in bad if pod.ended == "OOMKilled"), bad[0] if bad else None)
