"""Runs programs: the one place that starts a process and turns a failure into an error worth reading."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hack.cluster.errors import ClusterError, CommandError

# Daemons' and filter tools' folders are missing from the PATH of ordinary users.
_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def find_program(name: str, first: Path | None = None) -> str | None:
    """Path of a program, looked for in the folder `first`, then PATH, then the system's sbin folders."""
    folders = [str(first)] if first else []
    return shutil.which(name, path=os.pathsep.join([*folders, os.environ.get("PATH", ""), *_SYSTEM_FOLDERS]))


def run(
    args: Sequence[str],
    *,
    stdin: str | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    timeout: float | None = None,
) -> str:
    """Run a program to its end and return what it printed; `environment` is added to ours.

    It is looked for as `find_program` does: root's PATH after a plain `su` has no sbin folders.

    Raises:
        CommandError: it failed; ClusterError: it does not exist or took longer than `timeout` seconds.
    """
    try:
        done = subprocess.run(
            [find_program(args[0]) or args[0], *args[1:]],
            input=stdin,
            env={**os.environ, **(environment or {})},
            cwd=folder,
            timeout=timeout,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise ClusterError(f"`{args[0]}` is not installed.") from error
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"`{' '.join(args)[:300]}` took longer than {timeout:.0f} s.") from error
    if done.returncode:
        raise CommandError(list(args), done.returncode, done.stderr or done.stdout)
    return done.stdout


def succeeds(args: Sequence[str], *, environment: Mapping[str, str] | None = None, timeout: float = 60) -> bool:
    """Whether a program ends well; for questions such as "is this image here"."""
    try:
        run(args, environment=environment, timeout=timeout)
    except ClusterError:
        return False
    return True


def follow(
    args: Sequence[str],
    log: Path,
    on_line: Callable[[str], None],
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> None:
    """Run a long build: each line goes to `log` and to `on_line`, so that people see that it lives."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("w", encoding="utf-8") as kept,
        subprocess.Popen(
            [find_program(args[0]) or args[0], *args[1:]],
            env={**os.environ, **(environment or {})},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        for line in process.stdout or ():
            kept.write(line)
            on_line(line.rstrip())
    if process.returncode:
        raise CommandError(list(args), process.returncode, log.read_text(encoding="utf-8"))
