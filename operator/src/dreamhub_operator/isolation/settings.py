"""How often walls are tried, and what the attempts need to know of the platform."""

from datetime import timedelta

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from dreamhub_operator.rotation.settings import Duration


class Isolation(BaseModel):
    """The chart's `isolation.*`."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    enabled: bool = False
    """Off, no tenant is verified and there is no canary."""
    interval: Duration = timedelta(hours=6)
    """Age at which a verification is repeated."""
    api_url: str = "http://dreamhub-api"
    """Where the operator finds the API server."""
