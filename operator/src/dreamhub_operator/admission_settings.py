"""How many IngestJobs run at once, and how fair share remembers."""

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from dreamhub.domain.fair_share import Policy
from dreamhub_operator.rotation.settings import Duration


class Admission(BaseModel):
    """The chart's `admission.*`."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    concurrent_jobs: Annotated[int, Field(ge=0)] = 100
    """IngestJobs of all tenants that run at once; 0 is any number."""
    embedding_p95_seconds: Annotated[float, Field(ge=0)] = 10
    """Cold jobs wait while calls of their tenant's embedding model take longer; 0 never holds them back."""
    half_life: Duration = timedelta(minutes=10)
    """In which what a tenant has used loses half of its weight."""
    ageing: Duration = timedelta(minutes=15)
    """After so long a waiting job is the equal of the next higher priority of other tenants."""

    @property
    def policy(self) -> Policy:
        return Policy(self.concurrent_jobs or None, self.ageing.total_seconds())
