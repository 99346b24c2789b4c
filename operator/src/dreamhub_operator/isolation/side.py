"""The two sides of a round: a tenant and the canary, each with its own logins. Held in memory for one round."""

from dataclasses import dataclass, field

from dreamhub.names import database_role


@dataclass(frozen=True, slots=True)
class Side:
    """One tenant, as far as its attempts on the other go."""

    tenant: str
    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    token: str = field(repr=False)
    """Of its service account `owner`, for the API; empty when none was to be had."""
    document: str | None
    """Id of a document that it has, None when it has none."""
    version: str | None
    """Id of a version whose original lies in the object store."""
    jobs: tuple[str, ...] = ()
    """Names of its IngestJobs."""
    expendable: bool = False
    """Whether nobody's data is behind it, so that even a delete may be tried."""

    @property
    def role(self) -> str:
        return database_role(self.tenant)

    @property
    def schema(self) -> str:
        return database_role(self.tenant)
