"""What the resource models share: their base class, CEL rules, and the parts of a resource around spec and status."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


@dataclass(frozen=True)
class Rule:
    """A CEL rule that the API server checks on every write. The message names the field and the rule it broke."""

    rule: str
    message: str

    def to_schema(self) -> dict[str, str]:
        return {"rule": self.rule, "message": self.message}


def rules(*checks: Rule, **more: Any) -> dict[str, Any]:
    """The `json_schema_extra` of a model or field that carries these rules, and further schema keywords."""
    return {"x-kubernetes-validations": [check.to_schema() for check in checks], **more}


class Part(BaseModel):
    """Base of every part of a spec or status.

    Unknown fields are ignored when read, since a newer CRD may hold more than this build knows; the API server has
    already refused or pruned what no version knows.
    """

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, populate_by_name=True, use_attribute_docstrings=True, extra="ignore"
    )


class ObjectMeta(Part):
    """The part of metadata that DreamHub reads. The API server keeps the rest."""

    name: str = ""
    namespace: str | None = None
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    finalizers: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
