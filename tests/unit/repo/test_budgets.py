"""Limits that keep the code readable. A module that outgrows them hides a second noun, a function a second verb."""

import ast
import re
from math import ceil
from pathlib import Path
from statistics import median

from tests.unit.repo.tree import modules

MODULE_LINES = 400
FUNCTION_LINES = 60
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
    """A sleep is only right inside a loop that looks again, or in a double that plays a slow server."""
    idle = [
        f"{module.path}:{call.lineno}"
        for module in modules()
        if module.path.startswith("tests/") and "server" not in Path(module.path).stem
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
    return [
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and _is_sleep(node) and id(node) not in looped
    ]


def _is_sleep(call: ast.Call) -> bool:
    name = (
        call.func.attr
        if isinstance(call.func, ast.Attribute)
        else call.func.id
        if isinstance(call.func, ast.Name)
        else ""
    )
    forever_or_yield = [argument.value for argument in call.args if isinstance(argument, ast.Constant)] in ([0], [3600])
    return name == "sleep" and not forever_or_yield
