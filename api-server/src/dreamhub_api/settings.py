"""What the server is told from outside, read once in `__main__` and handed on. Secrets are files, read at each use."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from dreamhub import names
from dreamhub.secret_files import read_together, read_token_keys
from dreamhub.storage.objects import ObjectKeys

MEBIBYTE = 1024 * 1024


class Settings(BaseSettings):
    """Environment variables are these names in capitals behind `DREAMHUB_`."""

    model_config = SettingsConfigDict(env_prefix="DREAMHUB_", frozen=True, extra="ignore")

    system_namespace: str = names.SYSTEM_NAMESPACE
    """Where the Secret with the tenants' data keys lives."""

    database_url_file: Path
    """A `postgresql://` URL of the login `dreamhub_api`."""
    database_connections: int = Field(default=10, ge=1, le=200)
    redis_url_file: Path

    s3_endpoint: str
    s3_bucket: str
    s3_region: str = "us-east-1"
    s3_credentials_dir: Path
    """Holds the files `access-key` and `secret-key`."""

    models_file: Path | None = None
    """The platform's model list; the built-in models when absent."""

    log_level: str = "INFO"
    listen_host: str = "0.0.0.0"  # noqa: S104 - a pod's own network namespace
    listen_port: int = Field(default=8080, ge=0, le=65535)
    internal_port: int = Field(default=8081, ge=0, le=65535)
    """Where workers ask for links."""
    job_token_keys_dir: Path
    """Holds the file `current` and, while keys are rotated, `previous`: they sign workers' tokens for links."""
    upload_limit_bytes: int = Field(default=100 * MEBIBYTE, ge=1)
    shutdown_seconds: float = Field(default=20.0, ge=0)
    """How long running requests may finish after SIGTERM."""

    oidc_issuer: str | None = None
    """Turns on logins by OIDC tokens of this issuer. Service-account tokens work in any case."""
    oidc_audience: str = names.TOKEN_AUDIENCE
    oidc_jwks_url: str | None = None
    """Where the issuer's keys are; found through its discovery document when absent."""
    oidc_tenant_claim: str = "tenant"
    oidc_scope_claim: str = "scope"

    kubeconfig: Path | None = None
    """For a server outside a cluster; inside, the pod's own service account is used."""

    def read_job_token_keys(self) -> tuple[bytes, ...]:
        """As they are now. Raises InvalidInputError."""
        return read_token_keys(self.job_token_keys_dir)

    def read_s3_keys(self) -> ObjectKeys:
        """As they are now."""
        return ObjectKeys(*read_together(self.s3_credentials_dir, ("access-key", "secret-key")))
