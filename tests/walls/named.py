"""Whether the tests that the walls name are still there."""

import ast
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def is_defined(test: str) -> bool:
    """By the file's own text: no test is imported."""
    name, _, _ = test.partition("[")
    file, *path = name.split("::")
    if not (ROOT / file).is_file():
        return False
    body = ast.parse((ROOT / file).read_text()).body
    for part in path:
        found = [node for node in body if isinstance(node, _NAMED) and node.name == part]
        if not found:
            return False
        body = found[0].body
    return True


def find_lost(tests: Iterable[str], session: pytest.Session) -> list[str]:
    """Those whose file was collected and that were not found in it: such as one whose parameter has another name.

    Where only a part of the files is asked for, there is nothing to be said.
    """
    config = session.config
    if config.option.keyword or config.option.deselect or any("::" in argument for argument in config.args):
        return []
    return find_absent(tests, (item.nodeid for item in session.items))


def find_absent(tests: Iterable[str], collected: Iterable[str]) -> list[str]:
    names = set(collected)
    known = names | {name.partition("[")[0] for name in names} | {name.partition("::")[0] for name in names}
    return [test for test in tests if test.partition("::")[0] in known and test not in known]


_NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
