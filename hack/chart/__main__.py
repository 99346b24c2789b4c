"""`python -m hack.chart [--check]`: the files of the chart that are made from something else.

Copies: custom resource definitions (`crds/`) and the services' rights, because Helm sees nothing outside of a chart.
Generated: `values.schema.json` (types in `hack/chart/model.py`, texts in `values.yaml`), `README.md` (helm-docs), and
`manifests/dreamhub.yaml`, the chart rendered for those who apply plain files.
"""

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from hack.chart.schema import build_schema
from hack.cluster import binaries
from hack.cluster.command import run
from hack.cluster.errors import ClusterError
from hack.cluster.progress import Progress
from hack.cluster.settings import read_settings

ROOT = Path(__file__).resolve().parents[2]
_RIGHTS = {
    "operator.yaml": "operator/rbac.yaml",
    "tenant-access.yaml": "operator/tenant-access.yaml",
    "api-server.yaml": "api-server/rbac.yaml",
}
"""Copy in the chart to where the rights are written down, beside the code that needs them."""
_HELM_ONLY = re.compile(r"# Source: | *(helm\.sh/chart|app\.kubernetes\.io/managed-by): ")
_MANIFEST_HEAD = """\
# DreamHub without Helm, with servers of your own. Made from charts/dreamhub with the values of ci/external.yaml: for
# other values render it yourself (`helm template dreamhub charts/dreamhub -n dreamhub-system -f values.yaml`).
#
# First make the namespace and the Secrets that it names, and put your addresses in place of those at example.com:
#   kubectl create namespace dreamhub-system
#   kubectl -n dreamhub-system create secret generic dreamhub-database \\
#     --from-literal=migrate-url=postgresql://dreamhub_owner:...@db.example.com:5432/dreamhub \\
#     --from-literal=api-url=postgresql://dreamhub_api:... --from-literal=operator-url=postgresql://dreamhub_operator:...
#   kubectl -n dreamhub-system create secret generic dreamhub-redis-logins \\
#     --from-literal=api-url=redis://... --from-literal=operator-url=redis://...
#   kubectl -n dreamhub-system create secret generic dreamhub-bucket \\
#     --from-literal=access-key=... --from-literal=secret-key=...
#   kubectl -n dreamhub-system create secret generic dreamhub-job-tokens --from-literal=current=$(openssl rand -hex 32)
#   kubectl -n dreamhub-system create secret generic model-keys --from-literal=openai=...
# then: kubectl apply --server-side -f manifests/dreamhub.yaml"""
_README_INPUTS = ("Chart.yaml", "values.yaml", "README.md.gotmpl")


def build_files(root: Path) -> dict[Path, str]:
    """What the made files should hold, by their path."""
    chart = root / "charts/dreamhub"
    crds = {chart / "files/crds" / path.name: path.read_text() for path in sorted((root / "crds").glob("*.yaml"))}
    rights = {chart / "files/rbac" / name: (root / source).read_text() for name, source in _RIGHTS.items()}
    schema = {chart / "values.schema.json": build_schema((chart / "values.yaml").read_text())}
    settings = read_settings()
    binaries.build(settings, (binaries.HELM, binaries.LINT), Progress())
    readme = {chart / "README.md": _build_readme(chart, settings.binaries)}
    return crds | rights | schema | readme | {root / "manifests/dreamhub.yaml": _render(chart, settings.binaries)}


def _render(chart: Path, programs: Path) -> str:
    """The chart with external servers, so that it holds no password; what only Helm reads is left out."""
    values = str(chart / "ci/external.yaml")
    command = (str(programs / "helm"), "template", "dreamhub", str(chart), "--namespace", "dreamhub-system")
    rendered = run([*command, "--skip-tests", "--values", values])
    lines = [line for line in rendered.splitlines() if not _HELM_ONLY.match(line)]
    return "\n".join([_MANIFEST_HEAD, *lines, ""])


def _build_readme(chart: Path, programs: Path) -> str:
    with TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in _README_INPUTS:
            (copy / name).write_text((chart / name).read_text())
        options = ("--chart-search-root", folder, "--sort-values-order", "file", "--log-level", "warning")
        run([str(programs / "helm-docs"), *options, "--skip-version-footer"])
        return (copy / "README.md").read_text()


def write_schema(chart: Path) -> None:
    """Before anything is rendered: Helm refuses a new value that the schema does not know."""
    (chart / "values.schema.json").write_text(build_schema((chart / "values.yaml").read_text()))


def find_differences(files: Mapping[Path, str], root: Path) -> list[str]:
    """One sentence for each file that is not as it should be, stale copies included."""
    problems = [
        f"{path.relative_to(root)} is out of date"
        for path, text in files.items()
        if not path.is_file() or path.read_text() != text
    ]
    return problems + [f"{path.relative_to(root)} has no source" for path in _stale(files, root)]


def _stale(files: Mapping[Path, str], root: Path) -> list[Path]:
    copies = root / "charts/dreamhub/files"
    present = [*copies.glob("crds/*.yaml"), *copies.glob("rbac/*.yaml")]
    return sorted(path for path in present if path not in files)


def write_files(files: Mapping[Path, str], root: Path) -> None:
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for path in _stale(files, root):
        path.unlink()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m hack.chart", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is not as it should be")
    arguments = parser.parse_args()
    try:
        if not arguments.check:
            write_schema(ROOT / "charts/dreamhub")
        files = build_files(ROOT)
    except (ClusterError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if not arguments.check:
        write_files(files, ROOT)
        return 0
    problems = find_differences(files, ROOT)
    for problem in problems:
        print(f"{problem}: run `make format`", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
