"""The operator's settings, read once in `__main__`. Every name is `DREAMHUB_<FIELD>`; secrets are paths of files."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, model_validator
from pydantic.alias_generators import to_camel
from pydantic_settings import BaseSettings, SettingsConfigDict

from dreamhub.names import SYSTEM_NAMESPACE
from dreamhub.secret_files import read_together, read_token_keys
from dreamhub.storage.objects import ObjectKeys
from dreamhub_operator.admission_settings import Admission
from dreamhub_operator.isolation.settings import Isolation
from dreamhub_operator.rotation.settings import Rotation

Port = Annotated[int, Field(ge=1, le=65535)]


class EgressRule(BaseModel):
    """One destination that every tenant's workers need: pods of a namespace by labels, or an address range."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    namespace: str | None = None
    pod_selector: dict[str, str] | None = None
    cidr: IPvAnyNetwork | None = None
    ports: tuple[Port, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _has_one_destination(self) -> Self:
        if (self.cidr is None) == (self.namespace is None):
            raise ValueError("an egress rule needs either cidr, or namespace with podSelector")
        return self


class PrivateNetwork(BaseModel):
    """Addresses that are not global and that every tenant's sources may reach."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cidr: IPvAnyNetwork
    ports: tuple[Port, ...] = Field(min_length=1)


class Dns(BaseModel):
    """The cluster's DNS servers, which every worker asks. Elsewhere names would be a way out for data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    namespace: str = "kube-system"
    port: Port = 53
    """Of the pods, where policies look, which need not be the service's."""


class MalwareScanner(BaseModel):
    """The clamd that every worker asks about a document before it reads it."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    address: Annotated[str, Field(pattern=r"^.+:[0-9]+$")]
    """host:port as workers reach it."""
    limit_bytes: Annotated[int, Field(ge=1)]
    """Its StreamMaxLength: larger documents are refused."""


class WorkerResources(BaseModel):
    """Requests and limits of a worker's container, as in a pod spec."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests: dict[str, str] = {"cpu": "250m", "memory": "384Mi"}
    limits: dict[str, str] = {"cpu": "1", "memory": "1Gi"}


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="DREAMHUB_", frozen=True, extra="ignore")

    system_namespace: str = SYSTEM_NAMESPACE
    pod_name: str
    """Identity in the leader election."""
    log_level: str = "INFO"
    metrics_port: int = 9090
    """Probes and metrics."""

    database_url_file: Path
    redis_url_file: Path
    s3_endpoint: str
    """As workers reach it: it goes into presigned URLs."""
    s3_bucket: str
    s3_region: str = "us-east-1"
    s3_credentials_dir: Path
    models_file: Path | None = None

    job_token_keys_dir: Path
    """Holds the file `current` and, while keys are rotated, `previous`: they sign workers' tokens for links."""
    links_url: str
    """Where workers ask the API server for links, such as `http://dreamhub-api-internal:8081`."""
    private_networks: tuple[PrivateNetwork, ...] = ()
    """What sources may reach although it is not global."""

    tenant_database_address: str
    """host:port/database as workers reach it."""
    tenant_redis_address: str
    """host:port as workers reach it."""
    tenant_redis_scheme: Literal["redis", "rediss"] = "redis"
    """rediss: workers speak TLS to Redis."""
    dns: Dns = Dns()
    """Where workers ask for names."""
    egress: tuple[EgressRule, ...] = ()
    """What every worker needs: PostgreSQL, Redis, S3 and providers of models."""

    worker_image: str
    worker_build: str
    """Name of the build, kept on every chunk it writes."""
    worker_resources: WorkerResources = WorkerResources()
    image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()

    upload_limit_bytes: Annotated[int, Field(ge=1)] = 100 * 1024 * 1024
    """Largest original that a worker reads."""

    scanner: MalwareScanner | None = None
    """None: documents are not looked through for malware."""

    job_deadline_seconds: Annotated[int, Field(ge=1)] = 21600
    """How long a worker's Job may take with all its tries and waits for a pod."""

    admission: Admission = Admission()
    """How many IngestJobs run at once, and how fair share remembers."""
    rotation: Rotation = Rotation()
    """How often logins and keys are replaced."""
    isolation: Isolation = Isolation()
    """How often the walls around each tenant are tried."""
    pod_ip: str = ""
    """The operator's own address, whose metrics no tenant's pod may reach. Not tried when empty."""

    drift_seconds: Annotated[float, Field(gt=0, le=45)] = 30
    """How often each tenant is looked at. With the age of what is read for all at once, a third of this, a change by
    hand is put back within a minute; one of watched objects at once."""
    lease_seconds: Annotated[int, Field(ge=3)] = 15
    """A leader that could not renew for two thirds of this stops; after all of it, another takes over."""

    @model_validator(mode="after")
    def _overlap_outlives_jobs(self) -> Self:
        if self.rotation.overlap.total_seconds() < self.job_deadline_seconds:
            raise ValueError(
                "rotation.overlap must not be shorter than the deadline of jobs: workers keep their logins"
            )
        return self

    def read_job_token_keys(self) -> tuple[bytes, ...]:
        """As they are now. Raises InvalidInputError."""
        return read_token_keys(self.job_token_keys_dir)

    def read_s3_keys(self) -> ObjectKeys:
        """As they are now. Raises InvalidInputError."""
        return ObjectKeys(*read_together(self.s3_credentials_dir, ("access-key", "secret-key")))
