"""The page on isolation and the table of walls name tests that exist."""

import re
from collections import Counter
from functools import cache

import pytest

from tests.unit.repo.tree import ROOT, modules
from tests.walls.removals import Wall
from tests.walls.table import WALLS

PAGE = ROOT / "docs/operations/isolation.md"


@cache
def named_tests() -> dict[str, set[str]]:
    return {
        module.path: {function.name for function in module.functions() if function.name.startswith("test_")}
        for module in modules()
        if module.path.startswith("tests/")
    }


def test_the_page_names_tests_that_exist() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE.read_text()))
    assert len(named) > 20
    assert named - set().union(*named_tests().values()) == set()


@pytest.mark.parametrize("wall", WALLS, ids=lambda wall: wall.name)
def test_walls_name_tests_that_exist(wall: Wall) -> None:
    for test in wall.tests:
        file, _, rest = test.partition("::")
        assert file in named_tests()
        if rest:
            assert rest.partition("[")[0].rpartition("::")[2] in named_tests()[file], test


def test_walls_have_names_of_their_own() -> None:
    assert [name for name, times in Counter(wall.name for wall in WALLS).items() if times > 1] == []
