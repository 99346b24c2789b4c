"""One way to run each thing: help, pre-commit, workflows and documentation name the same make targets."""

import re
import subprocess
from functools import cache
from typing import Any

import pytest
import yaml

from hack.checks.docs import read_pages
from tests.unit.repo.tree import ROOT

NEWCOMERS_TARGETS = {"demo", "test", "check", "bench", "cluster-up", "cluster-down", "images", "install", "clean"}
MAKEFILE = (ROOT / "Makefile").read_text()
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yaml"))
PINNED = re.compile(r"[\w.-]+/[\w./-]+@(v\d+\.\d+\.\d+|[0-9a-f]{40})|\./\.github/workflows/[\w.-]+\.yaml")


@cache
def targets() -> frozenset[str]:
    """Every target of the Makefile, the single checks included."""
    checks = re.search(r"^CHECKS := (.*)$", MAKEFILE, re.MULTILINE)
    assert checks
    explicit = re.findall(r"^([a-z0-9-]+):", MAKEFILE, re.MULTILINE)
    return frozenset({*explicit, *(f"check-{name}" for name in checks[1].split())})


@cache
def help_targets() -> frozenset[str]:
    shown = subprocess.run(["make", "help"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return frozenset(re.findall(r"^ +\x1b\[36m([a-z0-9-]+)", shown, re.MULTILINE))


def make_targets_in(command: str) -> list[str]:
    """Targets of a `make ...` command line; variables and options left out."""
    unquoted = re.sub(r"=?'[^']*'|=?\"[^\"]*\"", "=", command.strip())
    if not (match := re.match(r"(?:[A-Z_]+=\S+ )*make\b([^|;&#]*)", unquoted)):
        return []
    return [word for word in match[1].split() if re.fullmatch(r"[a-z0-9-]+", word) and not word.startswith("-")]


def load_workflow(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows" / name).read_text())
    return document


def test_help_lists_what_a_newcomer_needs() -> None:
    assert help_targets() >= NEWCOMERS_TARGETS


def test_help_lists_only_targets_that_exist() -> None:
    assert help_targets() <= targets()


def test_pre_commit_runs_exactly_the_checks() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooked = [target for repo in config["repos"] for hook in repo["hooks"] for target in make_targets_in(hook["entry"])]
    assert sorted(hooked) == sorted(target for target in targets() if target.startswith("check-"))


def test_the_workflow_runs_the_same_commands() -> None:
    jobs = load_workflow("ci.yaml")["jobs"]
    runs = {target for job in jobs.values() for step in job["steps"] for target in make_targets_in(step.get("run", ""))}
    assert runs == {"check", "test-unit", "test-integration", "test-e2e"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned(path: Any) -> None:
    used = re.findall(r"uses: *(\S+)", path.read_text())
    assert used
    assert [action for action in used if not PINNED.fullmatch(action)] == []


def test_ci_calls_the_documented_command() -> None:
    script = (ROOT / ".ci/run").read_text()
    assert re.search(r"^make --no-print-directory test ", script, re.MULTILINE)
    assert "make test" in (ROOT / "README.md").read_text()


def test_documented_make_commands_exist() -> None:
    unknown = {
        (str(page.path.relative_to(ROOT)), target)
        for page in read_pages(ROOT)
        for command in page.commands()
        for target in make_targets_in(command)
        if target not in targets()
    }
    assert unknown == set()


def test_released_images_are_targets_of_the_dockerfile() -> None:
    released = load_workflow("release.yaml")["jobs"]["images"]["strategy"]["matrix"]["image"]
    stages = re.findall(r"^FROM .* AS ([\w-]+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE | re.IGNORECASE)
    assert set(released) <= set(stages)
