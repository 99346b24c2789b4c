"""Conditions as kstatus and `kubectl wait` read them: one entry a type, stamped when its status flips and only then."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer
from pydantic.alias_generators import to_camel

Status = Literal["True", "False", "Unknown"]


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, the only form that `metav1.Time` keeps."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _to_utc_seconds(value: object) -> object:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.astimezone(UTC).replace(microsecond=0) if isinstance(moment, datetime) else moment


Time = Annotated[datetime, BeforeValidator(_to_utc_seconds), PlainSerializer(format_time, return_type=str)]
"""A moment as Kubernetes stores it: what was written is equal to what is read back."""

MicroTime = Annotated[
    datetime,
    PlainSerializer(lambda moment: moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"), return_type=str),
]
"""A moment to the microsecond, as PostgreSQL has it."""


class Condition(BaseModel):
    """One observation about an object (the fields of `metav1.Condition`)."""

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, populate_by_name=True, use_attribute_docstrings=True
    )

    type: str
    """What the condition is about."""
    status: Status
    """True, False, or Unknown while it has not been looked at."""
    reason: str
    """Why, as one word from a closed set; programs match on it."""
    message: str = ""
    """Why, as a sentence for people, with the next step when one is needed."""
    observed_generation: int = 0
    """The metadata.generation that this was said about."""
    last_transition_time: Time
    """When the status last changed."""


C = TypeVar("C", bound=Condition)


def merge_conditions(existing: Sequence[C], stated: Iterable[C]) -> tuple[C, ...]:
    """The new list of conditions: those of `stated`, with the time of transition kept where the status did not flip.

    `stated` carries the present moment as its transition times. A type that is not stated any more disappears, so a
    writer always states all of its types. Order is by type, so that equal findings give equal lists.
    """
    before = {condition.type: condition for condition in existing}
    return tuple(sorted((_dated(new, before.get(new.type)) for new in stated), key=lambda condition: condition.type))


def _dated(new: C, old: C | None) -> C:
    if old is None or old.status != new.status:
        return new
    return new.model_copy(update={"last_transition_time": old.last_transition_time})


def is_true(conditions: Iterable[Condition], kind: str) -> bool:
    """Whether the condition of this type is there and holds. An absent one does not."""
    return any(condition.type == kind and condition.status == "True" for condition in conditions)
