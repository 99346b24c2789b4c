"""One release a cluster."""

import asyncio
from typing import Any, cast

import pytest

from dreamhub.errors import UnavailableError
from dreamhub_operator import sole
from dreamhub_operator.sole import NotTheOperatorError, check_role, stay_sole

OURS = "system:serviceaccount:dreamhub-system:dreamhub-operator"


def role(named: str | None) -> dict[str, Any]:
    return {"metadata": {"annotations": {"dreamhub.dev/operator": named} if named else None}}


def test_the_operator_that_is_named_may_work() -> None:
    check_role(role(OURS), OURS)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (role("system:serviceaccount:other:dreamhub-operator"), "names system:serviceaccount:other"),
        (role(None), "names no operator"),
        (None, "is missing"),
    ],
)
def test_any_other_refuses_and_says_whose_the_cluster_is(found: dict[str, Any] | None, text: str) -> None:
    with pytest.raises(NotTheOperatorError) as caught:
        check_role(found, OURS)
    assert text in caught.value.message
    assert "tenant-access.yaml" in caught.value.message


class Roles:
    """Answers in turn."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    async def get(self, _: object) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_it_goes_on_while_nobody_answers_and_ends_when_another_has_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sole, "LOOK_SECONDS", 0)
    roles = Roles(role(OURS), UnavailableError("away"), role(OURS), role("another"))
    with pytest.raises(NotTheOperatorError):
        asyncio.run(stay_sole(cast("Any", roles), OURS))
    assert roles.answers == []
