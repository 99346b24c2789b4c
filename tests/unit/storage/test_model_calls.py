"""What a tenant may have written into its counters of calls, as the operator reads it."""

import asyncio
from typing import Any, Self, cast

import pytest
from prometheus_client import CollectorRegistry
from redis.exceptions import BusyLoadingError, ResponseError

from dreamhub.domain.call_budget import Rates
from dreamhub.errors import UnavailableError
from dreamhub.storage.model_budget import _FIELDS, Calls, Place, fetch_calls
from dreamhub_operator.duties.budget_metrics import ModelMetrics, subtract

PLACE = Place("acme", "small")
MOST = 2**53


class Answers:
    """A pipeline that answers so, in place of Redis."""

    def __init__(self, *answers: object) -> None:
        self.answers = answers

    def pipeline(self, **_: object) -> "Answers":
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is held."""

    def time(self) -> None:
        """The first answer."""

    def fcall_ro(self, *_: object) -> None:
        """The others."""

    async def execute(self, **_: object) -> list[object]:
        return list(self.answers)


def read(written: object, time: object = (1_000, 0)) -> Calls | None:
    values = [written.get(field) for field in _FIELDS] if isinstance(written, dict) else written
    return asyncio.run(fetch_calls(cast("Any", Answers(time, values)), [PLACE])).get(PLACE)


@pytest.mark.parametrize("field", _FIELDS)
def test_a_number_of_any_size_is_read_and_counted(field: str) -> None:
    for text in (b"1" + b"0" * 400, b"-1" + b"0" * 400, b"99999999999999999999"):
        calls = read({field: text})
        assert calls is not None
        assert abs(calls.asked_ago) <= MOST
        assert 0 <= calls.tokens <= MOST
        growth = subtract(calls, Calls({}, 0, (0,) * len(calls.took), 0, 0.0, None))
        ModelMetrics(CollectorRegistry()).add("small", Rates(60, 60), 1.0, {"acme": growth, "other": growth})


@pytest.mark.parametrize("written", [{}, {"used": b"many"}, {"asked": b"1" * 5_000}, ResponseError("WRONGTYPE"), None])
def test_what_makes_no_sense_is_absent(written: object) -> None:
    assert read(written) is None


def test_a_redis_that_still_loads_is_away() -> None:
    with pytest.raises(UnavailableError):
        read({}, BusyLoadingError("loading"))
