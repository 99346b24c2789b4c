"""What the wire models are made of: their two bases, the constrained strings and the limits that both sides know."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints
from pydantic.alias_generators import to_camel

MAX_QUERY_CHARACTERS = 2_000
MAX_PAGE = 200
MAX_HITS = 50
MAX_INLINE_CHARACTERS = 200_000
MAX_TAGS = 32
MAX_NAME_CHARACTERS = 255
MAX_IDS = 500

Name = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME_CHARACTERS, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""A document's name: what a person called the file. Never used as a path."""

Tag = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=r"^[^,\x00-\x20\x7f-\xa0]+$")]
JobName = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
DocumentId = Annotated[str, StringConstraints(pattern=r"^doc_[0-9a-f]{32}$")]
Query = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_QUERY_CHARACTERS, pattern=r"[^\x00-\x20\x7f-\xa0]")
]


def _read_integral(value: object) -> object:
    """JSON knows one kind of number: `10.0` is an integer too."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


INTEGRAL = BeforeValidator(_read_integral)
"""Goes last in an Annotated integer, so that its bounds stay in the schema."""


class Wire(BaseModel):
    """Base of what the server answers."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True, use_attribute_docstrings=True
    )


class Request(BaseModel):
    """Base of what a caller sends."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, use_attribute_docstrings=True
    )
