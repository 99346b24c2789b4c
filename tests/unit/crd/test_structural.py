"""Each trap between JSON Schema and a structural schema, one by one."""

from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from dreamhub.crd.schema import Rule, rules
from dreamhub.crd.structural import build_structural_schema, without_defaults


class Part(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class Colour(StrEnum):
    RED = "Red"


class Inner(Part):
    """An inner part."""

    size: int = 3


class Outer(Part, extra="forbid"):
    inner: Inner = Inner()
    """What lies inside."""
    maybe: Inner | None = None
    colour: Colour = Colour.RED
    kind: Literal["A", "B"] = "A"
    only: Literal["X"] = "X"
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    names: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    amount: Annotated[str | int, Field(json_schema_extra=rules(**{"x-kubernetes-int-or-string": True}))] = "1"
    checked: Annotated[str, Field(json_schema_extra=rules(Rule("self != ''", "checked must not be empty")))] = "x"


def field(name: str) -> dict[str, Any]:
    properties: dict[str, Any] = build_structural_schema(Outer)["properties"]
    found: dict[str, Any] = properties[name]
    return found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "inner",
            {
                "description": "What lies inside.",
                "properties": {"size": {"default": 3, "type": "integer"}},
                "type": "object",
                "default": {},
            },
        ),
        ("kind", {"default": "A", "enum": ["A", "B"], "type": "string"}),
        ("only", {"default": "X", "enum": ["X"], "type": "string"}),
        (
            "share",
            {
                "default": 0.5,
                "type": "number",
                "minimum": 0,
                "exclusiveMinimum": True,
                "maximum": 1,
                "exclusiveMaximum": True,
            },
        ),
        ("names", {"type": "array", "items": {"type": "string"}}),
        ("labels", {"type": "object", "additionalProperties": {"type": "string"}, "default": {}}),
        ("amount", {"default": "1", "x-kubernetes-int-or-string": True, "x-kubernetes-validations": []}),
        (
            "checked",
            {
                "default": "x",
                "type": "string",
                "x-kubernetes-validations": [{"rule": "self != ''", "message": "checked must not be empty"}],
            },
        ),
    ],
)
def test_translates(name: str, expected: dict[str, Any]) -> None:
    assert field(name) == expected


def test_an_optional_part_is_nullable_and_has_no_anyof() -> None:
    assert field("maybe")["nullable"] is True
    assert field("maybe")["type"] == "object"
    assert "anyOf" not in field("maybe")


def test_an_enum_is_inlined_with_its_values() -> None:
    assert field("colour")["enum"] == ["Red"]
    assert "$ref" not in str(build_structural_schema(Outer))


def test_titles_and_additional_properties_are_dropped() -> None:
    text = str(build_structural_schema(Outer))
    assert "title" not in text
    assert "'additionalProperties': False" not in text


def test_a_status_schema_fills_nothing_in_but_keeps_the_keys_of_conditions() -> None:
    class Condition(Part):
        type: str
        reason: str

    class Status(Part):
        phase: str = "Pending"
        conditions: tuple[Condition, ...]
        inner: Inner = Inner()

    schema = without_defaults(build_structural_schema(Status))
    assert "default" not in str(schema)
    assert "required" not in schema
    assert schema["properties"]["conditions"]["items"]["required"] == ["type", "reason"]


def test_a_real_union_is_refused() -> None:
    class Bad(Part):
        either: Inner | Outer

    with pytest.raises(ValueError, match="CEL rule"):
        build_structural_schema(Bad)


def test_an_unknown_keyword_is_refused() -> None:
    class Bad(Part):
        pair: tuple[int, str]

    with pytest.raises(ValueError, match="prefixItems"):
        build_structural_schema(Bad)
