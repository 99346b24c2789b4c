"""The words that say where an IngestJob is: phases, conditions and reasons, each a closed set."""

from enum import StrEnum
from typing import Literal

IngestPhase = Literal["Pending", "Queued", "AwaitingApproval", "Running", "Succeeded", "Failed", "Cancelled"]
IngestConditionType = Literal["Ready", "Reconciling", "Stalled", "Approved", "Admitted", "Complete", "Failed"]

WAITING_PHASES: frozenset[IngestPhase] = frozenset({"Pending", "Queued", "AwaitingApproval"})
FINAL_PHASES: frozenset[IngestPhase] = frozenset({"Succeeded", "Failed", "Cancelled"})


class IngestReason(StrEnum):
    """Why an IngestJob is where it is. A closed set: programs match on it."""

    # Pending: why not yet
    RECEIVED = "Received"
    NOT_A_TENANT_NAMESPACE = "NotATenantNamespace"
    TENANT_NOT_READY = "TenantNotReady"
    TENANT_SUSPENDED = "TenantSuspended"
    SUSPENDED = "Suspended"
    DATABASE_UNAVAILABLE = "DatabaseUnavailable"
    STORAGE_UNAVAILABLE = "StorageUnavailable"
    CLUSTER_REFUSED = "ClusterRefused"
    WAITING_FOR_POD = "WaitingForPod"
    OVER_QUOTA = "OverQuota"
    ISOLATION_FAILED = "IsolationFailed"
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_UNAVAILABLE = "ImageUnavailable"
    CONTAINER_CONFIG_INVALID = "ContainerConfigInvalid"
    LARGER_THAN_PLAN = "LargerThanPlan"
    # Queued: others come first
    OVER_BUDGET = "OverBudget"
    QUOTA_EXHAUSTED = "QuotaExhausted"
    QUEUE_FULL = "QueueFull"
    TENANT_LIMIT = "TenantLimit"
    GLOBAL_LIMIT = "GlobalLimit"
    COLD_HELD_BACK = "ColdHeldBack"
    WAITING_FOR_KUEUE = "WaitingForKueue"
    # AwaitingApproval
    APPROVAL_REQUIRED = "ApprovalRequired"
    # Running: how far
    STARTING = "Starting"
    FETCHING = "Fetching"
    SCANNING = "Scanning"
    EXTRACTING = "Extracting"
    CHUNKING = "Chunking"
    EMBEDDING = "Embedding"
    STORING = "Storing"
    FINISHING = "Finishing"
    RETRYING = "Retrying"
    # Succeeded
    INGESTED = "Ingested"
    # Failed
    DOCUMENT_NOT_FOUND = "DocumentNotFound"
    DOCUMENTS_FAILED = "DocumentsFailed"
    OUT_OF_MEMORY = "OutOfMemory"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    WORKER_FAILED = "WorkerFailed"
    JOB_NAME_TAKEN = "JobNameTaken"
    INTERNAL_ERROR = "InternalError"
    # Cancelled
    CANCELLED = "Cancelled"
    # Of the condition Approved
    APPROVED = "Approved"
    APPROVAL_NOT_REQUIRED = "ApprovalNotRequired"
