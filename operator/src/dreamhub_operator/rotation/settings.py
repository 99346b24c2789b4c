"""How often logins and keys are replaced, and for how long the ones before are kept."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+)([smhd])")


def parse_duration(value: object) -> object:
    """`720h`, `30d`, `90m` or `15s`. Other types are left to pydantic."""
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value)
    if match is None or int(match[1]) == 0:
        raise ValueError(f"{value!r} is no duration: a whole number above 0 and a unit, such as 720h or 30d")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]


class Rotation(BaseModel):
    """The chart's `rotation.*`."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    credentials_after: Duration = timedelta(hours=720)
    """Age at which a tenant's database and cache logins are replaced."""
    overlap: Duration = timedelta(hours=24)
    """For how long the logins before are accepted still. A worker keeps those it was started with."""
    data_keys_after: Duration = timedelta(hours=2160)
    """Age at which a tenant's data key is replaced and its content re-encrypted."""
    spread: Duration = timedelta(minutes=3)
    """From adding a data key to encrypting with it: by then every pod has it, since kubelets refresh what is mounted
    every one or two minutes."""
    concurrent_reencryptions: Annotated[int, Field(ge=1)] = 4
    """How many tenants' content is brought under another data key at once; others wait for their turn."""
    retired_keys_kept: Duration = timedelta(hours=840)
    """For how long a data key that encrypts nothing any more is kept, so that backups stay readable."""
    master_keys_after: Duration = timedelta(hours=2160)
    """Age at which a master key that the operator has made is replaced. One from outside is rotated there."""
    create_master_keys: bool = True
    """Make the Secret of master keys when it is absent. False waits for the one that comes from outside."""
