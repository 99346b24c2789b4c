"""The page for operators lists exactly the metrics that the services have."""

import ast
import re
from collections.abc import Iterator

from tests.unit.repo.tree import ROOT, Module, modules

KINDS = {"Counter": "_total", "Gauge": "", "Histogram": "", "HistogramMetricFamily": ""}
SERVICES = ("operator/src/", "api-server/src/", "core/src/")


def made_in(module: Module) -> Iterator[str]:
    for call in (node for node in ast.walk(ast.parse(module.text)) if isinstance(node, ast.Call)):
        match call:
            case ast.Call(func=ast.Name(id=kind), args=[ast.Constant(value=str(name)), *_]) if kind in KINDS:
                yield name.removesuffix("_total") + KINDS[kind]


def test_the_metrics_of_the_services_are_documented() -> None:
    made = {name for module in modules() if module.path.startswith(SERVICES) for name in made_in(module)}
    page = (ROOT / "docs/operations/operate.md").read_text()
    assert set(re.findall(r"^\| `([a-z_]+)` \| ", page, re.MULTILINE)) == made
    assert len(made) > 5
