"""docs/user/errors.md, made from the code: every error code that a user can meet, its status and its sentence.

A code reaches users as the `code` of a problem document and as the reason in a resource's status. The page is read out
of the syntax tree, so it can neither forget a code nor keep one that is gone.
"""

import argparse
import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from itertools import groupby
from pathlib import Path

from dreamhub import errors
from dreamhub.crd.ingest_job import IngestReason
from dreamhub.crd.tenant import TenantReason
from dreamhub_api import problems
from hack.checks.tools import ROOT

PAGE = ROOT / "docs/user/errors.md"
MEMBERS = ("core", "api-server", "worker", "operator")
"""Where errors are raised that reach users. The client and the CLI pass on what the API said."""

_INTRODUCTION = """\
# Errors

<!-- Generated from the code by `make format`. Do not edit. -->

Every error has a stable `code` for programs and a sentence for people that names the cause and the next step. REST
answers carry it as `code` of an `application/problem+json` body, the WebSocket in its `error` message, an IngestJob as
`status.errors[].reason`. An object that belongs to another tenant and one that does not exist give the same answer.

A 429 or 503 answer says in `Retry-After` when to come back, where that is known. `Internal` (500) hides the cause: it
is in the server's log under the `requestId` of the answer. An ellipsis stands for what is filled in.
"""


@dataclass(frozen=True, order=True)
class Code:
    status: int
    name: str
    sentence: str


@dataclass(frozen=True)
class _Site:
    """One construction of an error, with its code given as a word or as the parameter of a function around it."""

    error: type[errors.DreamHubError]
    code: ast.expr
    sentence: str


def find_error(name: str) -> type[errors.DreamHubError] | None:
    found = getattr(errors, name, None) or getattr(problems, name, None)
    return found if isinstance(found, type) and issubclass(found, errors.DreamHubError) else None


def sentence_of(expression: ast.expr) -> str:
    """The text of a literal; what is filled in at run time becomes an ellipsis."""
    match expression:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(sentence_of(part) for part in parts)
        case ast.BinOp(left=left, right=right):
            return sentence_of(left) + sentence_of(right)
        case _:
            return "…"


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _sites(tree: ast.AST) -> Iterator[_Site]:
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        if (error := find_error(_called(call))) is None or not call.args:
            continue
        given = [keyword.value for keyword in call.keywords if keyword.arg == "code"]
        yield _Site(error, given[0] if given else ast.Constant(error.default_code), sentence_of(call.args[0]))


def _words_passed(tree: ast.AST, function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """Literals that the module passes as the parameter `code` of one of its functions."""
    parameters = [argument.arg for argument in function.args.args if argument.arg != "self"]
    if "code" not in parameters:
        return []
    position = parameters.index("code")
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _called(node) == function.name]
    passed = [call.args[position] for call in calls if len(call.args) > position]
    passed += [keyword.value for call in calls for keyword in call.keywords if keyword.arg == "code"]
    return [word.value for word in passed if isinstance(word, ast.Constant) and isinstance(word.value, str)]


def read_codes(tree: ast.Module) -> Iterator[Code]:
    """The codes of one module."""
    for site in _sites(tree):
        if isinstance(site.code, ast.Constant):
            yield Code(_status(site.error), str(site.code.value), site.sentence)
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    for function in functions:
        passed_on = [site for site in _sites(function) if isinstance(site.code, ast.Name) and site.code.id == "code"]
        for site in passed_on[:1]:
            yield from (Code(_status(site.error), word, site.sentence) for word in _words_passed(tree, function))


def _status(error: type[errors.DreamHubError]) -> int:
    if issubclass(error, problems.UnprocessableError):
        return HTTPStatus.UNPROCESSABLE_ENTITY
    return next(problems.STATUS_BY_ERROR[kind] for kind in error.__mro__ if kind in problems.STATUS_BY_ERROR)


def read_all(root: Path) -> list[Code]:
    """Each code once for each sentence; our own bugs left out, as users see them as `Internal`."""
    files = (path for member in MEMBERS for path in (root / member / "src").rglob("*.py"))
    codes = {code for path in files for code in read_codes(ast.parse(path.read_text()))}
    return sorted(code for code in codes if code.status != HTTPStatus.INTERNAL_SERVER_ERROR)


def _table(codes: Iterable[Code]) -> Iterator[str]:
    """One row a code; a sentence that is wholly filled in at run time says nothing beside others."""
    yield "| code | says |"
    yield "|---|---|"
    for name, same in groupby(codes, key=lambda code: code.name):
        sentences = [code.sentence.replace("|", "\\|") for code in same]
        telling = [sentence for sentence in sentences if sentence.strip("… ")] or sentences
        yield f"| `{name}` | {'<br>'.join(telling)} |"


def _reasons(title: str, reasons: type[StrEnum]) -> Iterator[str]:
    yield f"\n### {title}\n"
    yield ", ".join(f"`{reason}`" for reason in reasons)


def render(codes: list[Code]) -> str:
    lines = [_INTRODUCTION]
    for status in sorted({code.status for code in codes}):
        lines += [f"## {status} {HTTPStatus(status).phrase}\n"]
        lines += [*_table(code for code in codes if code.status == status), ""]
    lines += ["## Reasons in the status of resources\n"]
    lines += ["Closed sets: programs may match on them. The message beside a reason says what to do."]
    lines += [*_reasons("IngestJob", IngestReason), *_reasons("Tenant", TenantReason)]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m hack.checks.error_codes", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the page instead of comparing it")
    page = render(read_all(ROOT))
    if parser.parse_args().write:
        PAGE.write_text(page)
    elif not PAGE.exists() or PAGE.read_text() != page:
        print(f"{PAGE.relative_to(ROOT)} is not what the code says: run `make format`")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
