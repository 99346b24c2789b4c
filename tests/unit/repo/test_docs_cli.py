"""The documented command lines of `dreamhub` and `kubectl dreamhub` are real: commands, options, exit codes."""

import re
import shlex
from collections.abc import Iterator

import pytest
import typer

from dreamhub_cli import exit_codes
from dreamhub_cli.app import build_app, configure, configure_kubectl
from hack.checks.docs import read_pages
from tests.unit.repo.tree import ROOT

APPS = {
    "dreamhub": typer.main.get_command(build_app("dreamhub", configure)),
    "kubectl dreamhub": typer.main.get_command(build_app("kubectl-dreamhub", configure_kubectl)),
}


def documented() -> Iterator[tuple[str, str]]:
    """(app, its arguments) of each command line in the docs."""
    for page in read_pages(ROOT):
        for line in page.commands():
            if match := re.match(r"(?:\.venv/bin/)?(dreamhub|kubectl dreamhub) (?!install)(.+)", line):
                yield match[1], match[2]


def options(command: object) -> set[str]:
    parameters = getattr(command, "params", [])
    return {name for parameter in parameters for name in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}


def unknown_words(app: str, arguments: str) -> list[str]:
    """Options that neither the app nor the named command has, and a command that does not exist."""
    words = shlex.split(arguments)
    command: object = APPS[app]
    known, found = options(command), False
    for word in words:
        inner = getattr(command, "commands", {}).get(word)
        if inner is not None:
            command, found = inner, True
            known |= options(command)
    given = {word.partition("=")[0] for word in words if word.startswith("-") and word != "-"}
    wrong = sorted(given - known)
    return wrong if found or words[0].startswith("-") else [words[0], *wrong]


def test_the_docs_show_the_command_line() -> None:
    assert {app for app, _ in documented()} == set(APPS)


@pytest.mark.parametrize(("app", "arguments"), sorted(set(documented())))
def test_documented_commands_exist(app: str, arguments: str) -> None:
    assert unknown_words(app, arguments) == []


def test_a_wrong_command_line_would_be_found() -> None:
    assert unknown_words("dreamhub", "uplaod --wait x") == ["uplaod", "--wait"]
    assert unknown_words("dreamhub", "upload --wiat x") == ["--wiat"]


def test_every_command_is_documented() -> None:
    page = (ROOT / "docs/user/cli.md").read_text()
    assert [name for name in getattr(APPS["dreamhub"], "commands", {}) if f"`dreamhub {name}" not in page] == []


def test_exit_codes_are_documented_as_the_code_has_them() -> None:
    page = (ROOT / "docs/user/cli.md").read_text()
    listed = {
        int(code): text.replace("`", "") for code, text in re.findall(r"^\| (\d+) \| (.+) \|$", page, re.MULTILINE)
    }
    lines = re.findall(r"^ *(\d+)  (.+)$", exit_codes.__doc__ or "", re.MULTILINE)
    assert listed == {int(code): re.sub(r" \(.*\)$", "", text) for code, text in lines}
