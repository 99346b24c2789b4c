import pytest

from dreamhub_client.errors import (
    ApiError,
    ClientError,
    CredentialError,
    LimitExceededError,
    NotFoundError,
    ServerError,
    UnreachableError,
)
from dreamhub_client.models import Problem
from dreamhub_client.retry import RetryPolicy, is_transient

POLICY = RetryPolicy(attempts=4, base=1, longest=8)


def api(kind: type[ApiError], status: int, retry_after: float | None = None) -> ApiError:
    problem = Problem(type="about:blank", title="", status=status, detail="", code="C", instance="/")
    return kind(problem, retry_after=retry_after)


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (UnreachableError("x"), True),
        (CredentialError("x"), False),
        (api(ServerError, 503), True),
        (api(ServerError, 500), False),
        (api(NotFoundError, 404), False),
        (api(LimitExceededError, 429, 3), True),
        (api(LimitExceededError, 429), False),
    ],
)
def test_only_what_time_may_mend_is_tried_again(error: ClientError, *, transient: bool) -> None:
    assert is_transient(error) is transient
    assert (POLICY.delay(1, error) is not None) is transient


def test_delays_grow_and_end() -> None:
    error = UnreachableError("x")
    assert [POLICY.delay(n, error, chance=lambda: 1.0) for n in (1, 2, 3, 4)] == [1, 2, 4, None]
    assert POLICY.delay(1, error, chance=lambda: 0.0) == 0.5


def test_named_time_is_never_undercut_and_too_long_a_time_is_left_to_the_caller() -> None:
    assert POLICY.delay(1, api(LimitExceededError, 429, 6), chance=lambda: 1.0) == 6
    assert POLICY.delay(1, api(ServerError, 503, 0), chance=lambda: 1.0) == 1
    assert POLICY.delay(1, api(LimitExceededError, 429, 3600)) is None
