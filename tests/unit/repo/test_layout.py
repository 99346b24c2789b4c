"""Traps of this layout that would otherwise show as a puzzling failure somewhere else."""

import operator
import re
import sysconfig
import tomllib
from pathlib import Path

import pytest

from hack.checks.members import read_members
from tests.unit.repo.tree import MEMBERS, ROOT, modules

MAKEFILE_PACKAGES = re.compile(r"^PACKAGES := (.*)$", re.MULTILINE)
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}


def test_the_operator_folder_never_shadows_the_standard_library() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()
    assert Path(operator.__file__).parent == Path(sysconfig.get_path("stdlib"))


def test_workspace_makefile_and_guards_know_the_same_members() -> None:
    workspace = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]["members"]
    found = MAKEFILE_PACKAGES.search((ROOT / "Makefile").read_text())
    assert found
    assert found[1].split() == workspace == list(MEMBERS)
    assert [member.distribution for member in read_members(ROOT)] == [
        "dreamhub-core",
        "dreamhub-operator",
        "dreamhub-api",
        "dreamhub-worker",
        "dreamhub-client",
        "dreamhub-cli",
    ]


@pytest.mark.parametrize("member", MEMBERS)
def test_members_hold_no_tests(member: str) -> None:
    assert not list((ROOT / member).glob("**/tests")), "tests live in the root package `tests`"


@pytest.mark.parametrize("member", MEMBERS)
def test_members_are_typed_and_import_by_one_package(member: str) -> None:
    (package,) = [path for path in (ROOT / member / "src").iterdir() if not path.name.endswith(".egg-info")]
    assert (package / "__init__.py").exists()
    assert (package / "py.typed").exists()


def test_every_folder_of_tests_is_a_package() -> None:
    folders = {path.parent for path in (ROOT / "tests").rglob("*.py")}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_modules_are_named_by_their_noun() -> None:
    assert [module.path for module in modules() if Path(module.path).stem in VAGUE_NAMES] == []
