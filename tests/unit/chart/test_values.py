from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.chart.__main__ import CHART, find_differences, write_files
from hack.chart.model import ChartValues
from hack.chart.schema import build_schema, read_comments

VALUES = (CHART / "values.yaml").read_text()
FREE_FORM = {"settings", "requests", "limits"}
"""Maps whose keys are the user's."""


def leaves(values: Mapping[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in values.items():
        if isinstance(value, dict) and value and key != "resources":
            yield from leaves(value, (*prefix, key))
        else:
            yield (*prefix, key)


def test_the_chart_s_own_values_are_what_the_types_say() -> None:
    ChartValues.model_validate(yaml.safe_load(VALUES))


def test_every_value_is_explained() -> None:
    explained = read_comments(VALUES)
    unexplained = [".".join(path) for path in leaves(yaml.safe_load(VALUES)) if path not in explained]
    assert unexplained == []


def test_comments_belong_to_the_key_below_them() -> None:
    text = "a:\n  # -- about b\n  b: 1\n  c:\n    # -- about d\n    d: 2\n# -- about e\ne: {}\n"
    assert read_comments(text) == {("a", "b"): "about b", ("a", "c", "d"): "about d", ("e",): "about e"}


def test_the_schema_is_up_to_date() -> None:
    assert (CHART / "values.schema.json").read_text() == build_schema(VALUES)


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    (tmp_path / "files/crds").mkdir(parents=True)
    return tmp_path


def test_differences_are_missing_changed_and_left_over_files(chart: Path) -> None:
    files = {chart / "files/crds/a.yaml": "a", chart / "README.md": "read me"}
    write_files(files, chart)
    assert find_differences(files, chart) == []
    (chart / "README.md").write_text("changed")
    (chart / "files/crds/b.yaml").write_text("b")
    assert find_differences(files, chart) == ["README.md is out of date", "files/crds/b.yaml has no source"]
    write_files(files, chart)
    assert find_differences(files, chart) == []
