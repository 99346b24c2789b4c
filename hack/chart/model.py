"""The chart's values as types; `values.schema.json` is generated from them: Helm refuses what is misspelt or mistyped.

Every field is required: the chart's own `values.yaml` fills in what a user leaves out, and a test compares the two.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from dreamhub.llm.models import ModelSettings

Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$")]
Port = Annotated[int, Field(ge=1, le=65535)]
Labels = dict[str, str]
KubernetesObject = dict[str, Any]
"""Handed to Kubernetes as it is, and checked there."""


class Values(BaseModel):
    """Base: camelCase keys, unknown ones refused."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Image(Values):
    repository: Annotated[str, Field(min_length=1)]
    tag: Annotated[str, Field(pattern=r"^[\w.-]*$")]
    digest: Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$")]


class SharedImage(Values):
    registry: str
    tag: Annotated[str, Field(pattern=r"^[\w.-]*$")]
    pull_policy: Literal["Always", "IfNotPresent", "Never"]
    pull_secrets: list[KubernetesObject]


class Resources(Values):
    requests: dict[str, Quantity | int | float] = {}
    limits: dict[str, Quantity | int | float] = {}


class Placement(Values):
    node_selector: Labels
    tolerations: list[KubernetesObject]


class Service(Placement):
    """What the operator and the API server have in common."""

    image: Image
    replicas: Annotated[int, Field(ge=0)]
    resources: Resources
    pod_annotations: Labels
    affinity: KubernetesObject
    priority_class_name: str
    extra_env: list[KubernetesObject]


class Crds(Values):
    install: bool


class TenantAccess(Values):
    install: bool


class Autoscaling(Values):
    enabled: bool
    min_replicas: Annotated[int, Field(ge=1)]
    max_replicas: Annotated[int, Field(ge=1)]
    target_cpu_utilization_percentage: Annotated[int, Field(ge=1, le=100, alias="targetCPUUtilizationPercentage")]


class ApiService(Values):
    type: Literal["ClusterIP", "NodePort", "LoadBalancer"]
    port: Port
    node_port: Annotated[int, Field(ge=0, le=65535)]
    annotations: Labels


class Ingress(Values):
    enabled: bool
    class_name: str
    host: str
    annotations: Labels
    tls_secret_name: str


class Oidc(Values):
    issuer: Annotated[str, Field(pattern=r"^(https?://.+)?$")]
    audience: Annotated[str, Field(min_length=1)]
    jwks_url: Annotated[str, Field(pattern=r"^(https?://.+)?$")]
    tenant_claim: Annotated[str, Field(min_length=1)]


class ApiServer(Service):
    autoscaling: Autoscaling
    service: ApiService
    ingress: Ingress
    upload_limit_bytes: Annotated[int, Field(ge=1)]
    oidc: Oidc


class Worker(Values):
    image: Image
    resources: Resources
    deadline_seconds: Annotated[int, Field(ge=1)]


class Dns(Values):
    namespace: Annotated[str, Field(min_length=1)]
    port: Port


class Network(Values):
    """Addresses that workers may reach."""

    cidr: Annotated[str, Field(pattern=r"^[0-9a-fA-F.:]+/[0-9]{1,3}$")]
    ports: Annotated[list[Port], Field(min_length=1)]


class Sources(Values):
    private_networks: list[Network]


class JobTokens(Values):
    existing_secret: str


class Models(Values):
    available: Annotated[list[ModelSettings], Field(min_length=1)]
    api_keys_secret: str
    egress: list[Network]


class Migration(Values):
    timeout_seconds: Annotated[int, Field(ge=1)]
    resources: Resources


class Storage(Values):
    size: Quantity
    class_name: str


class Embedded(Placement):
    enabled: bool
    existing_secret: str
    image: Image
    storage: Storage
    resources: Resources


class EmbeddedPostgres(Embedded):
    settings: dict[Annotated[str, Field(pattern=r"^[a-z_.]+$")], str | int | float | bool]


class ExternalServer(Values):
    existing_secret: str
    address: str
    egress: list[Network]


class ExternalS3(Values):
    endpoint: Annotated[str, Field(pattern=r"^(https?://.+)?$")]
    region: Annotated[str, Field(min_length=1)]
    existing_secret: str
    egress: list[Network]


class Postgres(Values):
    embedded: EmbeddedPostgres
    external: ExternalServer


class ExternalRedis(ExternalServer):
    tls: bool


class Redis(Values):
    embedded: Embedded
    external: ExternalRedis


class S3(Values):
    bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    embedded: Embedded
    external: ExternalS3


class Signatures(Values):
    config_map: str


class SignatureUpdates(Values):
    enabled: bool
    mirror: Annotated[str, Field(min_length=1)]
    egress: list[Network]


class EmbeddedScanner(Placement):
    enabled: bool
    image: Image
    replicas: Annotated[int, Field(ge=0)]
    signatures: Signatures
    updates: SignatureUpdates
    storage: Storage
    resources: Resources


class ExternalScanner(Values):
    address: Annotated[str, Field(pattern=r"^(.+:[0-9]+)?$")]
    egress: list[Network]


class Scanner(Values):
    enabled: bool
    limit_bytes: Annotated[int, Field(ge=1)]
    embedded: EmbeddedScanner
    external: ExternalScanner


class NetworkPolicies(Values):
    enabled: bool
    api_from: list[KubernetesObject]
    metrics_from: list[KubernetesObject]


class Isolation(Values):
    enabled: bool
    interval: Annotated[str, Field(pattern=r"^[1-9][0-9]*[smhd]$")]


Duration = Annotated[str, Field(pattern=r"^[1-9][0-9]*[smhd]$")]


class Rotation(Values):
    credentials_after: Duration
    overlap: Duration
    data_keys_after: Duration
    spread: Duration
    concurrent_reencryptions: Annotated[int, Field(ge=1)]
    retired_keys_kept: Duration
    master_keys_after: Duration
    create_master_keys: bool


class Admission(Values):
    concurrent_jobs: Annotated[int, Field(ge=0)]
    embedding_p95_seconds: Annotated[float, Field(ge=0)]
    half_life: Duration
    ageing: Duration


class Rules(Values):
    enabled: bool
    labels: Labels


class Metrics(Values):
    rules: Rules


class ChartValues(Values):
    """All values of the chart."""

    fullname_override: Annotated[str, Field(pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$", max_length=40)]
    common_labels: Labels
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"]
    image: SharedImage
    crds: Crds
    tenant_access: TenantAccess
    operator: Service
    api_server: ApiServer
    worker: Worker
    dns: Dns
    models: Models
    sources: Sources
    job_tokens: JobTokens
    migration: Migration
    postgres: Postgres
    redis: Redis
    s3: S3
    scanner: Scanner
    network_policies: NetworkPolicies
    admission: Admission
    isolation: Isolation
    rotation: Rotation
    metrics: Metrics
    global_: Annotated[dict[str, Any], Field(alias="global")] = {}
    """Put there by Helm when another chart depends on this one; nothing here reads it."""
