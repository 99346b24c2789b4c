from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from hack.chart.__main__ import find_differences, write_files
from hack.chart.model import ChartValues
from hack.chart.schema import build_schema, read_comments
from tests.unit.chart.conftest import CHART

VALUES = (CHART / "values.yaml").read_text()


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


def test_differences_are_missing_changed_and_left_over_files(tmp_path: Path) -> None:
    copies = tmp_path / "charts/dreamhub/files/crds"
    files = {copies / "a.yaml": "a", tmp_path / "README.md": "read me"}
    write_files(files, tmp_path)
    assert find_differences(files, tmp_path) == []
    (tmp_path / "README.md").write_text("changed")
    (copies / "b.yaml").write_text("b")
    assert find_differences(files, tmp_path) == [
        "README.md is out of date",
        "charts/dreamhub/files/crds/b.yaml has no source",
    ]
    write_files(files, tmp_path)
    assert find_differences(files, tmp_path) == []
