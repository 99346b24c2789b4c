"""The repository as the guard tests see it: files that are ours, parsed once."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
MEMBERS = ("core", "operator", "api-server", "worker", "client", "cli")
CODE_FOLDERS = (*(f"{member}/src" for member in MEMBERS), "hack", "tests")


@dataclass(frozen=True)
class Module:
    path: str
    """Relative to the root."""
    text: str

    @property
    def lines(self) -> int:
        return self.text.count("\n")

    def functions(self) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
        tree = ast.parse(self.text)
        return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


@cache
def modules() -> tuple[Module, ...]:
    files = (path for folder in CODE_FOLDERS for path in sorted((ROOT / folder).rglob("*.py")))
    return tuple(Module(str(path.relative_to(ROOT)), path.read_text()) for path in files)
