"""Small documents get little, large ones more, none more than the limit."""

import pytest

from dreamhub_worker.allowance import ExtractionLimits

MEGABYTE = 2**20


def test_a_small_document_gets_seconds_and_half_a_gigabyte() -> None:
    allowed = ExtractionLimits().allow(10_000)
    assert allowed.cpu_seconds <= 5
    assert allowed.memory_bytes <= 513 * MEGABYTE


def test_more_for_a_larger_one() -> None:
    sizes = [ExtractionLimits().allow(size * MEGABYTE) for size in (0, 1, 5, 20)]
    assert [allowed.cpu_seconds for allowed in sizes] == [4, 8, 24, 84]
    assert [allowed.wall_seconds for allowed in sizes] == [36, 42, 66, 156]
    assert [allowed.memory_bytes // MEGABYTE for allowed in sizes] == [512, 520, 552, 672]


@pytest.mark.parametrize("size", [40 * MEGABYTE, 2**40])
def test_never_more_than_the_limit(size: int) -> None:
    limits = ExtractionLimits()
    allowed = limits.allow(size)
    assert (allowed.cpu_seconds, allowed.memory_bytes) == (limits.cpu_seconds, limits.memory_bytes)
    assert allowed.wall_seconds == limits.wall_seconds


def test_tighter_limits_hold_for_small_documents_too() -> None:
    allowed = ExtractionLimits(cpu_seconds=1, wall_seconds=2, memory_bytes=3).allow(0)
    assert (allowed.cpu_seconds, allowed.wall_seconds, allowed.memory_bytes) == (1, 2, 3)
