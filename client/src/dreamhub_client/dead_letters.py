"""The wire's part about dead letters: documents that ingest jobs have given up, until they are replayed or purged."""

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, ConfigDict, Field, StringConstraints, model_validator
from pydantic.config import JsonDict, JsonValue

from dreamhub_client.models import IngestJob, Page
from dreamhub_client.wire import MAX_IDS, JobName, Request, Wire

VersionId = Annotated[str, StringConstraints(pattern=r"^ver_[0-9a-f]{32}$")]


def _asking(**fields: JsonValue) -> JsonDict:
    """The schema of a choice whose first field must be there; the others may be, if they are so."""
    return {"required": [next(iter(fields))], "properties": fields}


class DeadLetter(Wire):
    """A document that a job has given up."""

    document: str | None = None
    """None where there never was one: of an item that could not be read, and of an error of the source itself."""
    name: str | None = None
    """None when the document is gone, or the source as a whole is meant."""
    version: str
    job: str
    """Name of the ingest job."""
    error_class: Literal["Permanent", "Transient", "Quota"] = Field(alias="class")
    reason: str
    message: str
    attempts: int
    """How many passing errors it met before it was given up; 0 where the first error was final."""
    failed_at: AwareDatetime


class DeadLetterPage(Page[DeadLetter]):
    pass


class DeadLetterChoice(Request):
    """Which dead letters. Nothing named is all of them."""

    job: JobName | None = None
    """Only those of this ingest job."""
    versions: Annotated[tuple[VersionId, ...], Field(min_length=1, max_length=MAX_IDS)] | None = None
    """Only these document versions."""


class PurgeChoice(DeadLetterChoice):
    """Which dead letters. Here all of them have to be asked for."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                _asking(all={"const": True}, job={"type": "null"}, versions={"type": "null"}),
                _asking(job={"type": "string"}, all={"const": False}),
                _asking(versions={"type": "array"}, all={"const": False}),
            ]
        }
    )

    all: bool = False
    """Every dead letter. Stands alone."""

    @model_validator(mode="after")
    def _is_meant(self) -> Self:
        named = self.job is not None or self.versions is not None
        if named == self.all:
            raise ValueError("name a job or versions, or give all: true alone to forget every dead letter")
        return self


class Replay(Wire):
    """What a replay has ordered."""

    job: IngestJob | None = None
    """The new ingest job. Absent where nothing could be replayed."""
    replayed: int
    left: bool
    """Whether there are more than one job takes: replay again."""


class Purge(Wire):
    purged: int
