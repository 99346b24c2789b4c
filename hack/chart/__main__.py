"""`python -m hack.chart [--check]`: the files of the chart that are made from something else.

Copies: custom resource definitions (`crds/`) and the services' rights, because Helm sees nothing outside of a chart.
Generated: `values.schema.json` (types in `hack/chart/model.py`, texts in `values.yaml`) and `README.md` (helm-docs).
"""

import argparse
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
CHART = ROOT / "charts/dreamhub"
_RIGHTS = {
    "operator.yaml": "operator/rbac.yaml",
    "tenant-access.yaml": "operator/tenant-access.yaml",
    "api-server.yaml": "api-server/rbac.yaml",
}
"""Copy in the chart to where the rights are written down, beside the code that needs them."""
_README_INPUTS = ("Chart.yaml", "values.yaml", "README.md.gotmpl")


def build_files(root: Path) -> dict[Path, str]:
    """What the made files should hold, by their path."""
    chart = root / "charts/dreamhub"
    crds = {chart / "files/crds" / path.name: path.read_text() for path in sorted((root / "crds").glob("*.yaml"))}
    rights = {chart / "files/rbac" / name: (root / source).read_text() for name, source in _RIGHTS.items()}
    schema = {chart / "values.schema.json": build_schema((chart / "values.yaml").read_text())}
    return crds | rights | schema | {chart / "README.md": _build_readme(chart)}


def _build_readme(chart: Path) -> str:
    settings = read_settings()
    binaries.build(settings, (binaries.LINT,), Progress())
    with TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in _README_INPUTS:
            (copy / name).write_text((chart / name).read_text())
        options = ("--chart-search-root", folder, "--sort-values-order", "file", "--log-level", "warning")
        run([str(settings.binaries / "helm-docs"), *options, "--skip-version-footer"])
        return (copy / "README.md").read_text()


def find_differences(files: Mapping[Path, str], chart: Path) -> list[str]:
    """One sentence for each file that is not as it should be, stale copies included."""
    problems = [
        f"{path.relative_to(chart)} is out of date"
        for path, text in files.items()
        if not path.is_file() or path.read_text() != text
    ]
    return problems + [f"{path.relative_to(chart)} has no source" for path in _stale(files, chart)]


def _stale(files: Mapping[Path, str], chart: Path) -> list[Path]:
    present = [*chart.glob("files/crds/*.yaml"), *chart.glob("files/rbac/*.yaml")]
    return sorted(path for path in present if path not in files)


def write_files(files: Mapping[Path, str], chart: Path) -> None:
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for path in _stale(files, chart):
        path.unlink()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m hack.chart", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is not as it should be")
    arguments = parser.parse_args()
    try:
        files = build_files(ROOT)
    except (ClusterError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if not arguments.check:
        write_files(files, CHART)
        return 0
    problems = find_differences(files, CHART)
    for problem in problems:
        print(f"charts/dreamhub: {problem}: run `make format`", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
