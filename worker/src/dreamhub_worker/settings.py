"""What a worker is told: mounted files and a few environment variables, read once.

Read by hand and not by pydantic-settings, whose import alone would take a quarter of the time a worker has to be ready.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from dreamhub.domain.job_input import Hold, JobInput
from dreamhub.errors import InvalidInputError
from dreamhub.llm.models import ModelSettings, load_models
from dreamhub.secret_files import SecretSource, secret_source
from dreamhub_worker.key_file import KeyFile
from dreamhub_worker.scan import DEFAULT_LIMIT, Scanner, parse_scanner

DEFAULT_JOB_DIR = "/var/run/dreamhub/job"
DEFAULT_CREDENTIALS_DIR = "/var/run/dreamhub/credentials"
DEFAULT_SIZE_LIMIT = 100 * 2**20
DEFAULT_PATIENCE_SECONDS = 600


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    job: JobInput
    job_file: Path
    model: ModelSettings
    database_url: SecretSource = field(repr=False)
    """Asked for each connection: the login may be rotated while the worker runs. So may the next one."""
    redis_url: SecretSource = field(repr=False)
    keys: KeyFile = field(repr=False)
    size_limit: int
    """Largest original that is read, in bytes."""
    scanner: Scanner | None
    """Where documents are looked through for malware before they are read; None: nowhere."""
    worker: int
    """Completion index of the pod among those of its Job."""
    patience_seconds: int
    """How long an outage may last before the pod gives up."""
    holder: str
    """Pod name, for people who read the tables."""
    work_dir: Path
    log_level: str

    def read_hold(self) -> Hold | None:
        """As the mounted order has it now: an approval takes it away. Raises InvalidInputError."""
        return _read_job(self.job_file).hold


def read_settings(environment: Mapping[str, str]) -> WorkerSettings:
    """Raises InvalidInputError that names the variable or file at fault; secrets are never quoted."""
    job_dir = Path(environment.get("DREAMHUB_JOB_DIR", DEFAULT_JOB_DIR))
    credentials = Path(environment.get("DREAMHUB_CREDENTIALS_DIR", DEFAULT_CREDENTIALS_DIR))
    job = _read_job(job_dir / "job.json")
    return WorkerSettings(
        job=job,
        job_file=job_dir / "job.json",
        model=load_models(job_dir / "models.yaml").find("embedding", job.embedding_model),
        database_url=_find_secret(credentials / "database-url"),
        redis_url=_find_secret(credentials / "redis-url"),
        keys=_find_keys(credentials / "keys.json"),
        size_limit=_read_number(environment, "DREAMHUB_UPLOAD_LIMIT_BYTES", DEFAULT_SIZE_LIMIT),
        scanner=_find_scanner(environment),
        worker=_read_number(environment, "JOB_COMPLETION_INDEX", 0, least=0),
        patience_seconds=_read_number(environment, "DREAMHUB_PATIENCE_SECONDS", DEFAULT_PATIENCE_SECONDS),
        holder=environment.get("DREAMHUB_POD_NAME") or environment.get("HOSTNAME", "unknown"),
        work_dir=Path(tempfile.gettempdir()),
        log_level=environment.get("DREAMHUB_LOG_LEVEL", "INFO"),
    )


def _find_keys(path: Path) -> KeyFile:
    keys = KeyFile(path)
    keys.read()
    return keys


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path} cannot be read ({type(error).__name__}); mount it") from error


def _find_secret(path: Path) -> SecretSource:
    """Read once already, so that a bad mount shows at the start."""
    _read(path)
    return secret_source(path)


def _read_job(path: Path) -> JobInput:
    try:
        return JobInput.model_validate_json(_read(path))
    except ValidationError as error:
        places = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise InvalidInputError(f"{path} is not a job of this build: {places}", code="BadJobInput") from None


def _find_scanner(environment: Mapping[str, str]) -> Scanner | None:
    """Named or not there: a scanner that is named must answer."""
    address = environment.get("DREAMHUB_SCANNER_ADDRESS", "")
    limit = _read_number(environment, "DREAMHUB_SCANNER_LIMIT_BYTES", DEFAULT_LIMIT)
    return parse_scanner(address, limit) if address else None


def _read_number(environment: Mapping[str, str], name: str, default: int, *, least: int = 1) -> int:
    value = environment.get(name, str(default))
    if not value.isdigit() or int(value) < least:
        raise InvalidInputError(f"{name} is {value!r}; it must be a whole number of at least {least}")
    return int(value)
