from typing import Any

import pytest

from hack.cluster.network.agent.selectors import matches


def term(operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": "tier", "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("selector", "labels", "expected"),
    [
        ({}, {}, True),
        ({}, {"tier": "web"}, True),
        ({"matchLabels": {"tier": "web"}}, {"tier": "web", "more": "x"}, True),
        ({"matchLabels": {"tier": "web"}}, {"tier": "db"}, False),
        ({"matchLabels": {"tier": "web"}}, {}, False),
        (term("In", "web", "db"), {"tier": "db"}, True),
        (term("In", "web", "db"), {}, False),
        (term("NotIn", "web"), {"tier": "db"}, True),
        (term("NotIn", "web"), {}, True),
        (term("NotIn", "web"), {"tier": "web"}, False),
        (term("Exists"), {"tier": ""}, True),
        (term("Exists"), {}, False),
        (term("DoesNotExist"), {}, True),
        (term("DoesNotExist"), {"tier": ""}, False),
        (term("Gt", "1"), {"tier": "2"}, False),
        ({"matchLabels": {"app": "a"}, **term("Exists")}, {"app": "a"}, False),
        ({"matchLabels": {"app": "a"}, **term("Exists")}, {"app": "a", "tier": "x"}, True),
    ],
)
def test_selector(selector: dict[str, Any], labels: dict[str, str], *, expected: bool) -> None:
    assert matches(selector, labels) is expected
