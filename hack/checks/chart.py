"""helm lint over the chart, with its own values and with every case that it must render with."""

import sys

from hack.checks.manifests import read_values
from hack.checks.tools import ROOT, prepare_tools, run_tool


def main() -> int:
    helm = prepare_tools() / "helm"
    failed = False
    for where, values in (("its own values", ""), *read_values(ROOT)):
        done = run_tool([helm, "lint", "--strict", "--quiet", "charts/dreamhub", "--values", "-"], stdin=values)
        if done.returncode:
            print(f"the chart with {where}:\n{done.stdout}")
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
