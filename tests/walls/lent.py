"""Servers that the runner starts once and lends to every test process; each process gets a database of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.integration.operator.control_plane import ControlPlane, start_control_plane
from tests.integration.servers import (
    PostgresServer,
    RedisServer,
    S3Server,
    run_postgres,
    run_redis,
    run_s3,
    temporary_folder,
)

WALL, LENT, REPORT = "DREAMHUB_WALL", "DREAMHUB_WALL_LENT", "DREAMHUB_WALL_REPORT"
"""What a test process is told: the wall to take down, the servers to use, the file for what came of it."""

TEMPLATE = "walls_template"


@dataclass(frozen=True, slots=True)
class Lent:
    postgres_port: int
    postgres_directory: str
    redis_port: int
    s3_port: int
    plane_url: str
    plane_folder: str

    def dump(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, text: str) -> "Lent":
        return cls(**json.loads(text))

    def postgres(self) -> PostgresServer:
        return PostgresServer(self.postgres_port, Path(self.postgres_directory))

    def redis(self) -> RedisServer:
        return RedisServer(self.redis_port)

    def s3(self) -> S3Server:
        return S3Server(self.s3_port)

    def plane(self) -> ControlPlane:
        """Without processes: who borrows it cannot stop it."""
        return ControlPlane(self.plane_url, Path(self.plane_folder), ())


@contextmanager
def run_lent() -> Iterator[Lent]:
    """All servers, and a migrated database as the template of every later one."""
    with ExitStack() as stack:
        folders = [stack.enter_context(temporary_folder()) for _ in range(4)]
        postgres = stack.enter_context(run_postgres(folders[0]))
        redis = stack.enter_context(run_redis(folders[1]))
        s3 = stack.enter_context(run_s3(folders[2]))
        plane = start_control_plane(folders[3])
        stack.callback(plane.stop)
        lent = Lent(postgres.port, str(postgres.directory), redis.port, s3.port, plane.url, _credentials(plane))
        subprocess.run([sys.executable, "-m", "tests.walls.migrate", lent.dump()], check=True)
        _run(postgres, f"ALTER DATABASE dreamhub RENAME TO {TEMPLATE}")
        yield lent


def _credentials(plane: ControlPlane) -> str:
    """A folder with the login alone: a borrower's `stop` empties the folder of the plane that it has."""
    folder = plane.folder / "lent"
    folder.mkdir()
    (folder / plane.kubeconfig.name).write_text(plane.kubeconfig.read_text())
    return str(folder)


def renew_database(postgres: PostgresServer) -> None:
    """A fresh `dreamhub` as the migrations leave it."""
    _run(postgres, "DROP DATABASE IF EXISTS dreamhub WITH (FORCE)")
    _run(postgres, f"CREATE DATABASE dreamhub TEMPLATE {TEMPLATE}")


def _run(postgres: PostgresServer, statement: str) -> None:
    postgres.run("psql", "-q", "-d", "postgres", "-c", statement)
