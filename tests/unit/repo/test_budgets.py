"""Limits that keep the code readable. A module that outgrows them hides a second noun, a function a second verb."""

import ast
import re
from math import ceil
from statistics import median

import pytest

from tests.unit.repo.tree import modules

MODULE_LINES = 400
FUNCTION_LINES = 40
MEDIAN_FUNCTION_LINES = 10
LINES_A_SUPPRESSION = 2000

# Spelled in halves, so that this file does not count itself.
SUPPRESSION = re.compile("#" + r" *(?:no" + r"qa|type" + r": *ignore|pragma" + r": no cover)(?P<rest>.*)")
WITH_CODE_AND_REASON = re.compile(r"(: ?[A-Z]+[0-9]+(, ?[A-Z]+[0-9]+)*|\[[a-z-]+(, ?[a-z-]+)*\]) +(- |# ?|—).*\w{3}")


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def test_modules_are_short() -> None:
    assert [(module.path, module.lines) for module in modules() if module.lines > MODULE_LINES] == []


def test_functions_are_short() -> None:
    lengths = {
        f"{module.path}:{function.name}": _length(function) for module in modules() for function in module.functions()
    }
    assert {name: length for name, length in lengths.items() if length > FUNCTION_LINES} == {}
    assert median(lengths.values()) <= MEDIAN_FUNCTION_LINES


def test_suppressions_are_few_and_give_code_and_reason() -> None:
    found = [
        (f"{module.path}:{number}", match["rest"])
        for module in modules()
        for number, line in enumerate(module.text.splitlines(), start=1)
        if (match := SUPPRESSION.search(line))
    ]
    assert [place for place, rest in found if not WITH_CODE_AND_REASON.match(rest)] == []
    allowed = ceil(sum(module.lines for module in modules()) / LINES_A_SUPPRESSION)
    assert len(found) <= allowed, [place for place, _ in found]


def test_tests_poll_and_never_just_sleep() -> None:
    """A fixed time is only slept in a loop that looks again. A time that is a parameter is the case at hand."""
    idle = [
        f"{module.path}:{call.lineno}"
        for module in modules()
        if module.path.startswith("tests/")
        for call in _sleeps_outside_loops(ast.parse(module.text))
    ]
    assert idle == []


def _sleeps_outside_loops(tree: ast.AST) -> list[ast.Call]:
    looped = {
        id(inner)
        for loop in ast.walk(tree)
        if isinstance(loop, ast.While | ast.For | ast.AsyncFor)
        for inner in ast.walk(loop)
    }
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _is_wait(node) and id(node) not in looped]


def _is_wait(call: ast.Call) -> bool:
    """A sleep for a fixed time; 0 yields to other tasks and an hour means for ever."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    match call.args:
        case [ast.Constant(value=seconds)]:
            return name == "sleep" and seconds not in {0, 3600}
        case [ast.Name(id=constant)]:
            return name == "sleep" and constant.isupper()
        case _:
            return False


@pytest.mark.parametrize(
    ("code", "waits"),
    [
        ("await asyncio.sleep(1)", 1),
        ("time.sleep(START_SECONDS)", 1),
        ("sleep(0.5)", 1),
        ("while not ready():\n    sleep(0.5)", 0),
        ("sleep(0)", 0),
        ("sleep(delay)", 0),
        ("walk(1)", 0),
    ],
)
def test_what_counts_as_a_wait(code: str, waits: int) -> None:
    assert len(_sleeps_outside_loops(ast.parse(code))) == waits
