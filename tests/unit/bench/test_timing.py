"""The rank-sum test behind the timing benchmark: it finds what is there and nothing else."""

import math

import numpy as np
import pytest

from tests.bench.timing import PAIRS, SIGNIFICANT, mann_whitney


def test_samples_that_do_not_overlap() -> None:
    p = mann_whitney(np.arange(100.0), np.arange(100.0, 200.0))
    assert p == pytest.approx(math.erfc(5000 / math.sqrt(100 * 100 / 12 * 201) / math.sqrt(2)), rel=1e-9)


def test_equal_samples() -> None:
    assert mann_whitney(np.arange(50.0), np.arange(50.0)) == 1
    assert mann_whitney(np.ones(50), np.ones(50)) == 1


def test_ties_count_half() -> None:
    """By hand: the pooled ranks are 1.5, 1.5, 4, 4, 4, 6; U of the first is 1."""
    p = mann_whitney(np.array([1.0, 1.0, 2.0]), np.array([2.0, 2.0, 3.0]))
    deviation = math.sqrt(3 * 3 / 12 * (7 - (6 + 24) / 30))
    assert p == pytest.approx(math.erfc(abs(1.0 - 4.5) / deviation / math.sqrt(2)))


def test_a_small_shift_is_found_in_many_pairs() -> None:
    """Five per cent of a millisecond that varies by a third."""
    rng = np.random.default_rng(1)
    first, second = rng.normal(1.05, 0.33, PAIRS), rng.normal(1.0, 0.33, PAIRS)
    assert mann_whitney(first, second) < SIGNIFICANT
    assert mann_whitney(first, rng.permutation(first)) == 1
