"""Cuts one virtual environment into image layers; runs inside the image builder, on the base's own Python.

Each call takes the files that appeared in the environment since the call before, leaves out what a running service
never reads, strips debug symbols, compiles bytecode and writes the rest as one layer. The environment itself stays as
uv made it, so a later `uv sync` adds to it. Images that share a step share its layer: on a node, on the wire and in a
registry.
"""

import argparse
import compileall
import py_compile
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

_SOURCE_SUFFIXES = frozenset({".c", ".cpp", ".h", ".pxd", ".pyi", ".pyx", ".a"})
_LOCALES_KEPT = ("root", "en")
"""Of the 30 MB of `babel`'s locales: it is here only because a URL filter of the HTML extractor imports it."""


def is_needed(path: PurePath) -> bool:
    """Whether a running service may read the file; `path` is relative to the environment."""
    folders = path.parts[:-1]
    if "__pycache__" in folders or ("site-packages" in folders and {"tests", "test"} & set(folders)):
        return False
    if path.suffix in _SOURCE_SUFFIXES:
        return False
    if folders[-2:] == ("babel", "locale-data"):
        return path.stem.split("_")[0] in _LOCALES_KEPT
    return True


def is_strippable(path: PurePath) -> bool:
    """Whether `strip` may touch it. Libraries in `*.libs` were rewritten by auditwheel: stripping misaligns them."""
    return ".so" in path.suffixes and not any(part.endswith(".libs") for part in path.parts)


def _walk(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")):
        if path.is_symlink() or not path.is_dir():
            yield path.relative_to(root)


def cut_layer(environment: Path, known: Iterable[str], layer: Path) -> list[str]:
    """Copy the environment's new and needed files below `layer`, under the environment's own absolute path.

    Returns every file of the environment, to be `known` to the next call. The environment's entry in `layer` is made
    afresh: what an earlier call left there is gone.
    """
    seen = frozenset(known)
    target = layer / environment.relative_to("/") if environment.is_absolute() else layer / environment
    shutil.rmtree(layer, ignore_errors=True)
    target.mkdir(parents=True)
    present = list(_walk(environment))
    for path in present:
        if str(path) not in seen and is_needed(path):
            (target / path.parent).mkdir(parents=True, exist_ok=True)
            shutil.copy2(environment / path, target / path, follow_symlinks=False)
    return [str(path) for path in present]


def strip_libraries(layer: Path) -> None:
    """Remove the debug symbols that wheels carry (45 MB of 300 in the worker's environment)."""
    libraries = [layer / path for path in _walk(layer) if is_strippable(path)]
    if libraries:
        subprocess.run(["strip", "--strip-unneeded", *libraries], check=True)


def compile_bytecode(layer: Path) -> None:
    """Compile for a file system that is read-only at run time. Unchecked: nobody edits an image's sources."""
    compileall.compile_dir(
        layer,
        maxlevels=99,
        quiet=1,
        stripdir=str(layer),
        prependdir="/",
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("environment", type=Path, help="the virtual environment")
    parser.add_argument("layer", type=Path, help="made afresh: holds the layer's files under their final paths")
    parser.add_argument(
        "--known", type=Path, required=True, help="list of the files of earlier layers; brought up to date"
    )
    arguments = parser.parse_args()
    known: Path = arguments.known
    before = known.read_text().splitlines() if known.exists() else []
    present = cut_layer(arguments.environment, before, arguments.layer)
    known.write_text("\n".join(present))
    strip_libraries(arguments.layer)
    compile_bytecode(arguments.layer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
