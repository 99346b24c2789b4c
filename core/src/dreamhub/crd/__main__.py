"""`python -m dreamhub.crd` writes the CustomResourceDefinitions; `--check` only says whether they are up to date."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

import yaml

from dreamhub.crd.definitions import DEFINITIONS, build_crd

HEADER = "# Generated from the models in core/src/dreamhub/crd by `python -m dreamhub.crd`. Do not edit.\n"


def render_files() -> dict[str, str]:
    """File name -> content, for all resources."""
    return {
        definition.file_name: HEADER
        + yaml.safe_dump(build_crd(definition), sort_keys=False, width=120, allow_unicode=True)
        for definition in DEFINITIONS
    }


def find_stale(folder: Path, files: dict[str, str]) -> list[Path]:
    """The files of the folder that differ from what the models say, missing and superfluous ones included."""
    stale = [folder / name for name, text in files.items() if _read(folder / name) != text]
    return stale + [path for path in sorted(folder.glob("*.yaml")) if path.name not in files]


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def write_files(folder: Path, files: dict[str, str], stale: Iterable[Path]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in stale:
        if path.name in files:
            path.write_text(files[path.name], encoding="utf-8")
        else:
            path.unlink()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m dreamhub.crd", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when a file is not up to date")
    parser.add_argument("--folder", type=Path, default=Path("crds"), help="where the files lie (default: crds)")
    options = parser.parse_args(arguments)
    files = render_files()
    stale = find_stale(options.folder, files)
    if options.check and stale:
        names = ", ".join(str(path) for path in stale)
        sys.stderr.write(f"not up to date: {names}; run `python -m dreamhub.crd`\n")
        return 1
    if not options.check:
        write_files(options.folder, files, stale)
    return 0


if __name__ == "__main__":
    sys.exit(main())
