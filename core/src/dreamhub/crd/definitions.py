"""The CustomResourceDefinitions as objects: names, scope, columns, and the schema built from the models."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from dreamhub.crd.ingest_job import IngestJob
from dreamhub.crd.structural import build_structural_schema, without_defaults
from dreamhub.crd.tenant import Tenant
from dreamhub.names import API_GROUP, API_VERSION


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`. Priority 1 shows with `-o wide` only."""

    name: str
    path: str
    description: str
    kind: str = "string"
    priority: int = 0

    def to_manifest(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "type": self.kind,
            "description": self.description,
            "jsonPath": self.path,
            "priority": self.priority,
        }


@dataclass(frozen=True)
class Definition:
    model: type[BaseModel]
    plural: str
    short_names: tuple[str, ...]
    namespaced: bool
    columns: tuple[Column, ...]

    @property
    def kind(self) -> str:
        return self.model.__name__

    @property
    def file_name(self) -> str:
        return f"{API_GROUP}_{self.plural}.yaml"


AGE = Column("Age", ".metadata.creationTimestamp", "Time since creation.", kind="date")

TENANTS = Definition(
    model=Tenant,
    plural="tenants",
    short_names=("dht",),
    namespaced=False,
    columns=(
        Column("Phase", ".status.phase", "Summary of the conditions."),
        Column("Ready", ".status.conditions[?(@.type=='Ready')].status", "Whether the tenant can be used."),
        Column("Namespace", ".status.namespace.name", "The tenant's namespace."),
        AGE,
        Column("Reason", ".status.conditions[?(@.type=='Ready')].reason", "Why it is or is not ready.", priority=1),
        Column("Message", ".status.conditions[?(@.type=='Ready')].message", "The same as a sentence.", priority=1),
        Column(
            "Isolated",
            ".status.conditions[?(@.type=='IsolationVerified')].status",
            "Whether the walls around it held when they were last tried.",
            priority=1,
        ),
        Column(
            "Within-Quota", ".status.conditions[?(@.type=='WithinQuota')].status", "Whether it may add.", priority=1
        ),
        Column("Drift", ".status.drift.corrected", "Foreign changes set back.", kind="integer", priority=1),
    ),
)

INGEST_JOBS = Definition(
    model=IngestJob,
    plural="ingestjobs",
    short_names=("ij",),
    namespaced=True,
    columns=(
        Column("Phase", ".status.phase", "Summary of the conditions."),
        Column("Reason", ".status.reason", "Why it is in this phase."),
        Column("Done", ".status.progress.documents.done", "Documents that are searchable.", kind="integer"),
        Column("Total", ".status.progress.documents.total", "Documents of the job.", kind="integer"),
        Column("Percent", ".status.progress.percent", "Share of the work that is done.", kind="integer"),
        Column("Left", ".status.progress.etaSeconds", "Seconds left, if they can be foretold.", kind="integer"),
        AGE,
        Column("Failed", ".status.progress.documents.failed", "Documents that failed.", kind="integer", priority=1),
        Column("Chunks", ".status.progress.chunks", "Chunks stored.", kind="integer", priority=1),
        Column("Priority", ".spec.priority", "Urgent, Normal or Cold.", priority=1),
        Column("Estimated", ".status.estimate.tokens", "Tokens, as estimated before.", kind="integer", priority=1),
        Column("Tokens", ".status.usage.tokens", "Tokens that were sent.", kind="integer", priority=1),
        Column("Cost", ".status.estimate.cost", "What the estimated tokens cost.", priority=1),
        Column("Job", ".status.jobName", "The Kubernetes Job.", priority=1),
        Column("Message", ".status.message", "Why it is in this phase.", priority=1),
    ),
)

DEFINITIONS = (TENANTS, INGEST_JOBS)


def build_crd(definition: Definition) -> dict[str, Any]:
    """The whole CustomResourceDefinition, ready to be applied."""
    names = {
        "kind": definition.kind,
        "listKind": f"{definition.kind}List",
        "plural": definition.plural,
        "singular": definition.kind.lower(),
        "shortNames": list(definition.short_names),
        "categories": ["dreamhub"],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{definition.plural}.{API_GROUP}",
            "labels": {"app.kubernetes.io/part-of": "dreamhub"},
        },
        "spec": {
            "group": API_GROUP,
            "names": names,
            "scope": "Namespaced" if definition.namespaced else "Cluster",
            "versions": [_build_version(definition)],
        },
    }


def _build_version(definition: Definition) -> dict[str, Any]:
    return {
        "name": API_VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": [column.to_manifest() for column in definition.columns],
        "selectableFields": [{"jsonPath": ".status.phase"}],
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": _build_root(definition.model)},
    }


def _build_root(model: type[BaseModel]) -> dict[str, Any]:
    """Metadata is the API server's own: of it, a root schema may only say that it is an object."""
    root = build_structural_schema(model)
    fields = root["properties"]
    fields["apiVersion"] = {"type": "string"}
    fields["kind"] = {"type": "string"}
    fields["metadata"] = {"type": "object"}
    fields["status"] = without_defaults(fields["status"])
    return root
