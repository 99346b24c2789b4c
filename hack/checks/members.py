"""Each member of the workspace builds, and imports with nothing but its own dependencies installed.

In the shared environment an import that a member forgot to declare still works, because another member declared it;
it would break in the service's image. So every member gets an environment of its own, in which all its modules are
imported.
"""

import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

_IMPORT_ALL = """
import importlib, pkgutil, sys
name = sys.argv[1]
package = importlib.import_module(name)
for module in pkgutil.walk_packages(package.__path__, name + "."):
    importlib.import_module(module.name)
"""
_ROOT = Path(__file__).resolve().parents[2]
_UV = _ROOT / "hack" / "uv"


@dataclass(frozen=True)
class Member:
    distribution: str
    module: str


def read_members(root: Path) -> list[Member]:
    workspace = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]["members"]
    return [_read_member(root / folder / "pyproject.toml") for folder in workspace]


def _read_member(pyproject: Path) -> Member:
    settings = tomllib.loads(pyproject.read_text())
    return Member(settings["project"]["name"], settings["tool"]["uv"]["build-backend"]["module-name"])


def _run(member: Member, *command: str) -> bool:
    done = subprocess.run(
        [_UV, *command], cwd=_ROOT, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode:
        print(f"{member.distribution}: `uv {' '.join(command[:2])} ...` failed:\n{done.stdout}", flush=True)
    return done.returncode == 0


def _is_sound(member: Member, out: str) -> bool:
    built = _run(member, "build", "--quiet", "--wheel", "--out-dir", out, "--package", member.distribution)
    alone = ("run", "--quiet", "--isolated", "--exact", "--frozen", "--no-default-groups")
    return built and _run(member, *alone, "--package", member.distribution, "python", "-c", _IMPORT_ALL, member.module)


def main() -> int:
    with tempfile.TemporaryDirectory() as out:
        unsound = [member.distribution for member in read_members(_ROOT) if not _is_sound(member, out)]
    if unsound:
        print(f"not sound alone: {', '.join(unsound)}. Declare what it imports in its own pyproject.toml.")
    return 1 if unsound else 0


if __name__ == "__main__":
    sys.exit(main())
