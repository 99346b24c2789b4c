"""kubeconform over everything that a cluster is given: the rendered chart, the manifests, the examples in the docs.

Strict: an unknown field is an error. The schemas are those of the pinned Kubernetes and of our own CRDs.
"""

import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from hack.checks.docs import read_pages
from hack.checks.kube_schemas import (
    LOCATION_TEMPLATE,
    Json,
    build_core_schemas,
    build_crd_schemas,
    kinds_of,
    write_schemas,
)
from hack.checks.tools import ROOT, prepare_tools, run_tool
from hack.cluster.command import run
from hack.cluster.settings import KUBERNETES_VERSION, PROJECT_FOLDER, read_settings
from hack.cluster.toolchain import find_go

VALUES_MARK = "# values.yaml"
"""First line of an example in the docs that is values of the chart."""

FOREIGN_KINDS = ("ExternalSecret",)
"""Kinds of other projects that an example shows, marked as theirs: their schemas are not ours to pin."""


def parse_documents(text: str) -> list[Json]:
    """The Kubernetes objects of a YAML stream; other documents (values, configuration) are left out."""
    documents: Iterable[Any] = yaml.safe_load_all(text)
    return [
        document for document in documents if isinstance(document, dict) and {"apiVersion", "kind"} <= set(document)
    ]


def read_sources(root: Path, helm: Path) -> Iterator[tuple[str, list[Json]]]:
    """(where it stands, the objects) for each source."""
    chart = root / "charts/dreamhub"
    for values in (None, *sorted(chart.glob("ci/*.yaml"))):
        options = ("--values", str(values)) if values else ()
        done = run_tool(
            [helm, "template", "dreamhub", chart, "--namespace", "dreamhub-system", "--include-crds", *options]
        )
        if done.returncode:
            raise SystemExit(f"helm template {' '.join(options)} failed:\n{done.stdout}")
        yield f"chart with {values.name if values else 'its own values'}", parse_documents(done.stdout)
    for path in sorted((root / "manifests").rglob("*.yaml")):
        yield str(path.relative_to(root)), parse_documents(path.read_text())
    for page in read_pages(root):
        for number, block in enumerate(page.blocks("yaml"), start=1):
            if not block.startswith(VALUES_MARK):
                yield f"{page.path.relative_to(root)}, YAML block {number}", parse_documents(block)


def read_values(root: Path) -> Iterator[tuple[str, str]]:
    """(where it stands, the text) of all values that the chart must render with: its own cases, the docs' examples."""
    for path in sorted((root / "charts/dreamhub").glob("ci/*.yaml")):
        yield path.name, path.read_text()
    for page in read_pages(root):
        for number, block in enumerate(page.blocks("yaml"), start=1):
            if block.startswith(VALUES_MARK):
                yield f"{page.path.relative_to(root)}, YAML block {number}", block


def render_chart(root: Path, helm: Path, where: str, values: str) -> list[Json]:
    done = run_tool(
        [helm, "template", "dreamhub", root / "charts/dreamhub", "--namespace", "dreamhub-system", "--values", "-"],
        stdin=values,
    )
    if done.returncode:
        raise SystemExit(f"the chart does not render with {where}:\n{done.stdout}")
    return parse_documents(done.stdout)


def read_openapi() -> Json:
    """The API document inside the pinned Kubernetes module."""
    go = find_go(read_settings(), lambda _: None)
    wanted = f"k8s.io/kubernetes@v{KUBERNETES_VERSION}"
    module = json.loads(run([go, "mod", "download", "-json", wanted], folder=PROJECT_FOLDER / "modules/kubernetes"))
    openapi: Json = json.loads(Path(module["Dir"], "api/openapi-spec/swagger.json").read_text())
    return openapi


def check_sources(sources: Mapping[str, list[Json]], kubeconform: Path, schemas: Path) -> list[str]:
    """One line for each object that is wrong, beginning with where it stands."""
    problems: list[str] = []
    command: list[str | Path] = [
        kubeconform,
        "-strict",
        "-skip",
        ",".join(FOREIGN_KINDS),
        "-output",
        "json",
        "-schema-location",
        f"{schemas}/{LOCATION_TEMPLATE}",
    ]
    for where, documents in sources.items():
        done = run_tool(command, stdin=yaml.safe_dump_all(documents))
        try:
            resources = json.loads(done.stdout).get("resources") or []
        except json.JSONDecodeError:
            problems.append(f"{where}: kubeconform failed: {done.stdout.strip()}")
            continue
        problems += [f"{where}: {item['kind']} {item['name']}: {item['msg']}" for item in resources]
    return problems


def main() -> int:
    tools = prepare_tools()
    sources = dict(read_sources(ROOT, tools / "helm"))
    crds = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "crds").glob("*.yaml"))]
    wanted = kinds_of(document for documents in sources.values() for document in documents)
    with tempfile.TemporaryDirectory() as folder:
        write_schemas(build_core_schemas(read_openapi(), wanted) | build_crd_schemas(crds), Path(folder))
        problems = check_sources(sources, tools / "kubeconform", Path(folder))
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
