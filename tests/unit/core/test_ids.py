import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamhub import ids


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_uuid7_keeps_its_time_version_and_variant(milliseconds: int, random: bytes) -> None:
    value = ids.uuid7(milliseconds, random)
    assert value.int >> 80 == milliseconds
    assert value.version == 7
    assert value.variant == uuid.RFC_4122


@given(st.integers(0, 2**48 - 2), st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10))
def test_a_later_id_sorts_after_an_earlier_one(milliseconds: int, one: bytes, other: bytes) -> None:
    assert ids.uuid7(milliseconds, one).hex < ids.uuid7(milliseconds + 1, other).hex


def test_a_new_id_is_recognised_as_its_own_kind_only() -> None:
    document = ids.new_id("doc")
    assert ids.is_id("doc", document)
    assert not ids.is_id("ver", document)


@pytest.mark.parametrize("value", ["", "doc_", "doc_123", "doc_" + "g" * 32, "doc_" + "A" * 32, "doc_" + "0" * 33])
def test_other_shapes_are_no_ids(value: str) -> None:
    assert not ids.is_id("doc", value)
