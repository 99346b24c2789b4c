"""What the options and the environment mean, before any server is asked."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from dreamhub_cli import exit_codes
from dreamhub_cli.app import COMMANDS, build_app, configure, configure_kubectl, tenant_of
from dreamhub_cli.connection import UsageError, choose_connection, parse_kube
from dreamhub_cli.files import Found, select_files
from dreamhub_cli.output import printable, size
from dreamhub_client import FileToken, RenewedToken, StaticToken
from dreamhub_client.kube import KubeAccess

KUBE = KubeAccess("acme")


@pytest.mark.parametrize(("value", "expected"), [("acme", ("dreamhub-system", "acme")), ("hub/acme", ("hub", "acme"))])
def test_kube_names_a_tenant_and_maybe_a_namespace(value: str, expected: tuple[str, str]) -> None:
    access = parse_kube(value, "kind-dreamhub")
    assert (access.system_namespace, access.tenant, access.context) == (*expected, "kind-dreamhub")


@pytest.mark.parametrize("value", ["", "hub/", "/acme"])
def test_kube_refuses_half_a_name(value: str) -> None:
    with pytest.raises(UsageError, match="give TENANT or NAMESPACE/TENANT"):
        parse_kube(value, None)


@pytest.mark.parametrize(
    ("server", "token", "token_file", "sentence"),
    [
        (None, "t", None, "no server: give --server"),
        ("http://x", None, None, "no login"),
        ("http://x", "t", Path("f"), "both set"),
    ],
)
def test_connection_refuses_too_little_and_too_much(
    server: str | None, token: str | None, token_file: Path | None, sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        choose_connection(server=server, token=token, token_file=token_file, kube=None)


def test_login_follows_what_was_given() -> None:
    def tokens(token: str | None, token_file: Path | None) -> object:
        return choose_connection(server=None, token=token, token_file=token_file, kube=KUBE).tokens()

    assert isinstance(tokens("t", None), StaticToken)
    assert isinstance(tokens(None, Path("f")), FileToken)
    assert isinstance(tokens(None, None), RenewedToken)


def test_namespace_of_a_tenant() -> None:
    assert tenant_of("dh-acme") == "acme"
    for namespace in ("default", "dh-"):
        with pytest.raises(UsageError, match="is not a tenant's"):
            tenant_of(namespace)


@pytest.mark.parametrize("command", [command.__name__ for command in COMMANDS])
def test_every_command_speaks_json(command: str) -> None:
    for callback in (configure, configure_kubectl):
        shown = CliRunner().invoke(build_app("dreamhub", callback), [command, "--help"])
        assert shown.exit_code == 0
        assert "--json" in shown.stdout


def test_missing_server_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SERVER", "TOKEN", "TOKEN_FILE", "KUBE"):
        monkeypatch.delenv(f"DREAMHUB_{name}", raising=False)
    done = CliRunner().invoke(build_app("dreamhub", configure), ["jobs"])
    assert done.exit_code == 2
    assert done.stderr.startswith("error: no server: give --server")


def test_exit_codes_are_documented() -> None:
    for code in exit_codes.ExitCode:
        assert f"{code.value}  " in (exit_codes.__doc__ or "")
    assert "3 the login was refused" in CliRunner().invoke(build_app("dreamhub", configure), ["--help"]).stdout


def test_selection_takes_named_files_as_they_are_and_each_once(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    note, program = folder / "note.MD", tmp_path / "run.exe"
    note.write_text("x")
    program.write_text("x")
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    chosen = select_files([folder, program, note])
    assert chosen.files == (Found(note, "note.MD"), Found(program, "run.exe"))
    assert chosen.files[0].media_type == "text/markdown"
    assert select_files([tmp_path]).skipped == (program,)


def test_printable_keeps_text_and_drops_control() -> None:
    assert printable("水\x1b[2J\x07 a\n\tb\u202e") == "水[2J a\n\tb"


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2e9, "2.0 GB")])
def test_sizes_read_well(count: float, text: str) -> None:
    assert size(count) == text
