"""What a Tenant shall be: the models of its spec."""

from typing import Annotated, Literal

from pydantic import Field

from dreamhub.crd.schema import Part, Rule, rules

MAX_OWNERS = 32
MAX_EGRESS = 32
MAX_PORTS = 16

DeletionPolicy = Literal["Block", "Retain", "Erase"]


class Owner(
    Part,
    json_schema_extra=rules(
        Rule(
            "(self.kind == 'ServiceAccount') == has(self.__namespace__)",
            "namespace is required for kind ServiceAccount and not allowed for User and Group",
        )
    ),
):
    """A person, group or service account that may create and watch IngestJobs in the tenant's namespace."""

    kind: Literal["User", "Group", "ServiceAccount"]
    """What the name names."""
    name: Annotated[str, Field(min_length=1, max_length=253)]
    """The name as the cluster's authentication reports it."""
    namespace: Annotated[str, Field(min_length=1, max_length=63)] | None = None
    """The namespace of a ServiceAccount; not set for the others."""


def _quantity(field: str) -> dict[str, object]:
    text = "string(self)"
    return rules(
        Rule(f"isQuantity({text})", f"{field} must be a quantity such as 500m, 2 or 4Gi"),
        Rule(
            f"!isQuantity({text}) || !quantity({text}).isLessThan(quantity('0'))",
            f"{field} must not be negative",
        ),
        **{"x-kubernetes-int-or-string": True, "maxLength": 32},
    )


Cpu = Annotated[str | int, Field(json_schema_extra=_quantity("cpu"))]
Memory = Annotated[str | int, Field(json_schema_extra=_quantity("memory"))]


class Requests(Part):
    """What all pods of the tenant together may reserve."""

    cpu: Cpu = "2"
    """Sum of CPU requests, such as "2" or 500m."""
    memory: Memory = "4Gi"
    """Sum of memory requests, such as 4Gi."""


class Limits(Part):
    """What all pods of the tenant together may use."""

    cpu: Cpu = "4"
    """Sum of CPU limits, such as "4"."""
    memory: Memory = "8Gi"
    """Sum of memory limits, such as 8Gi."""


class Resources(Part):
    """The compute quota of the tenant's namespace."""

    requests: Requests = Requests()
    """What all pods of the tenant together may reserve."""
    limits: Limits = Limits()
    """What all pods of the tenant together may use."""


class TenantModels(Part):
    """Models by their names in the platform's model list."""

    embedding: Annotated[
        str,
        Field(
            min_length=1,
            max_length=128,
            json_schema_extra=rules(
                Rule(
                    "self == oldSelf",
                    "embedding is immutable: stored vectors of one model cannot be compared with those of another; "
                    "create a new tenant to use another model",
                )
            ),
        ),
    ] = "builtin/wordllama-256"
    """Model that turns chunks and queries into vectors. Cannot be changed: vectors of two models don't compare."""
    chat: Annotated[str, Field(min_length=1, max_length=128)] = "builtin/extractive"
    """Model that writes answers."""


class Egress(Part):
    """A destination outside the cluster that the tenant's workers may open connections to."""

    to: Annotated[
        str,
        Field(
            min_length=1,
            max_length=64,
            json_schema_extra=rules(
                Rule("isCIDR(self)", "to must be a CIDR such as 203.0.113.0/24"),
                Rule(
                    "!isCIDR(self) || !(cidr('169.254.0.0/16').containsCIDR(self) || "
                    "cidr('fe80::/10').containsCIDR(self))",
                    "to must not be link-local: clouds give out their machines' credentials there",
                ),
            ),
        ),
    ]
    """Address range in CIDR form, such as 203.0.113.0/24. Link-local addresses in it stay closed."""
    ports: Annotated[
        tuple[Annotated[int, Field(ge=1, le=65535)], ...],
        Field(min_length=1, max_length=MAX_PORTS, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ]
    """TCP ports."""


class TenantNetwork(Part):
    """What the tenant's workers may reach beyond what the platform needs."""

    egress: Annotated[tuple[Egress, ...], Field(max_length=MAX_EGRESS)] = ()
    """Allowed destinations. Everything that is not named here or needed by the platform is denied."""


class Plan(Part):
    """Hard limits, enforced at the moment of use. An absent one is no limit."""

    documents: Annotated[int, Field(ge=0)] | None = None
    """Most documents."""
    chunks: Annotated[int, Field(ge=0)] | None = None
    """Most chunks of all documents together; a document that is being replaced counts twice meanwhile."""
    storage: Annotated[str | int, Field(json_schema_extra=_quantity("storage"))] | None = None
    """Most bytes of original documents, such as 50Gi."""
    tokens_per_day: Annotated[int, Field(ge=0)] | None = None
    """Most tokens sent to models on one day (UTC)."""
    tokens_per_month: Annotated[int, Field(ge=0)] | None = None
    """Most tokens sent to models in one calendar month (UTC)."""
    concurrent_jobs: Annotated[int, Field(ge=1)] | None = None
    """Most IngestJobs that run at once; others wait, the oldest first."""
    queued_jobs: Annotated[int, Field(ge=1)] | None = None
    """Most IngestJobs that are waiting or running; more are refused by the API, or wait outside of the queue."""


class Approval(Part):
    """Above which estimate an IngestJob waits until a person approves it. An absent threshold never stops one."""

    tokens_above: Annotated[int, Field(ge=0)] | None = None
    """Most tokens of a job that needs no approval."""
    cost_above: Annotated[str | int, Field(json_schema_extra=_quantity("costAbove"))] | None = None
    """Highest price of a job that needs no approval, such as "2.50", in the currency of the model list."""
    approvers: Annotated[tuple[Owner, ...], Field(max_length=MAX_OWNERS)] = ()
    """Who may approve, besides those who may in every namespace. Owners may not, unless they are named here, too."""


class TenantSpec(Part):
    """What the tenant shall be."""

    display_name: Annotated[str, Field(max_length=128)] = ""
    """Name for people."""
    owners: Annotated[tuple[Owner, ...], Field(max_length=MAX_OWNERS)] = ()
    """Who may create and watch IngestJobs in the tenant's namespace with kubectl."""
    plan: Plan = Plan()
    """Hard limits on what the tenant stores and uses."""
    weight: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Share of the platform's workers and models when they are short: 200 gets twice what 100 gets."""
    approval: Approval = Approval()
    """Above which estimate an IngestJob waits for a person."""
    resources: Resources = Resources()
    """Compute quota of the tenant's namespace."""
    models: TenantModels = TenantModels()
    """Models that the tenant's documents and questions go through."""
    network: TenantNetwork = TenantNetwork()
    """Network access of the tenant's workers."""
    suspend: bool = False
    """True refuses new documents and IngestJobs. Running ones finish; searching and reading go on."""
    deletion_policy: DeletionPolicy = "Block"
    """What deleting this Tenant does with its data. Block refuses while it has documents; Retain removes namespace and
    credentials but keeps documents and keys for a Tenant of the same name that adopts them by the annotation
    dreamhub.dev/adopt; Erase destroys everything, keys included."""
