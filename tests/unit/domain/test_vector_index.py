import pytest

from dreamhub.domain.vector_index import (
    BUILD_AT,
    BULK,
    DROP_BELOW,
    LARGE,
    SEARCHABLE,
    Action,
    Load,
    VectorIndex,
    decide,
    has_stale_statistics,
)

IDLE = Load(0, 0)


def index(chunks: int, *, indexed: bool, analyzed: int | None = None) -> VectorIndex:
    return VectorIndex(1, "m", 256, chunks, indexed, chunks if analyzed is None else analyzed)


@pytest.mark.parametrize(
    ("chunks", "indexed", "load", "wanted"),
    [
        (BUILD_AT - 1, False, IDLE, None),
        (BUILD_AT, False, IDLE, "Build"),
        (BUILD_AT, False, Load(1, 0), None),
        (LARGE, False, Load(1, 0), "Build"),
        (LARGE, False, Load(1, BULK - 1), "Build"),
        (LARGE, False, Load(1, BULK), None),
        (SEARCHABLE + 1, False, Load(1, 10 * SEARCHABLE), "Build"),
        (BUILD_AT, True, IDLE, None),
        (DROP_BELOW, True, IDLE, None),
        (DROP_BELOW - 1, True, IDLE, "Drop"),
        (DROP_BELOW - 1, True, Load(1, 0), None),
        (BUILD_AT, True, Load(1, BULK - 1), None),
        (BUILD_AT, True, Load(1, BULK), "Drop"),
        (LARGE, True, Load(1, LARGE // 2 - 1), None),
        (LARGE, True, Load(1, LARGE // 2), "Drop"),
        (SEARCHABLE + 1, True, Load(1, 10 * SEARCHABLE), None),
    ],
)
def test_decision(chunks: int, *, indexed: bool, load: Load, wanted: Action | None) -> None:
    assert decide(index(chunks, indexed=indexed), load) == wanted


def test_what_was_built_is_not_dropped_by_the_same_load() -> None:
    for chunks in range(0, 2 * SEARCHABLE, 977):
        for coming in (0, BULK, 100_000, 10 * SEARCHABLE):
            for running in (0, 1):
                load = Load(running, coming)
                if decide(index(chunks, indexed=False), load) == "Build":
                    assert decide(index(chunks, indexed=True), load) is None


@pytest.mark.parametrize(
    ("chunks", "analyzed", "stale"),
    [
        (DROP_BELOW - 1, -1, False),
        (DROP_BELOW, -1, True),
        (100_000, 80_000, False),
        (100_000, 79_999, True),
        (100_000, 120_001, True),
    ],
)
def test_statistics_are_gathered_after_a_large_change(chunks: int, analyzed: int, *, stale: bool) -> None:
    assert has_stale_statistics(index(chunks, indexed=True, analyzed=analyzed)) is stale
