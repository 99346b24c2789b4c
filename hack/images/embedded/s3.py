"""Entry point of the embedded S3 image: one SeaweedFS process, one identity, one bucket.

Only the S3 port listens on the pod's address; the parts behind it (master, volume, filer) speak on the loopback. The
identity may read and write its bucket and nothing else, so the bucket is made through the filer, by the pod's startup
probe: the pod counts as started when the bucket is there.
"""

import http.client
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import NoReturn

SERVER = "/usr/local/bin/weed"
FILER_PORT = 8888
_LOOPBACK = "127.0.0.1"


class StartError(Exception):
    """The image was started without something it needs; the text says what to mount."""


@dataclass(frozen=True)
class Settings:
    data: Path
    credentials: Path
    """The mounted Secret: `access-key`, `secret-key`."""
    identities: Path
    """Where the server's own form of the credentials is written; memory-backed."""
    bucket: str
    port: int


def read_settings(environ: Mapping[str, str]) -> Settings:
    return Settings(
        data=Path(environ.get("DREAMHUB_DATA_DIR", "/data")),
        credentials=Path(environ.get("DREAMHUB_S3_CREDENTIALS_DIR", "/var/run/dreamhub/s3")),
        identities=Path(environ.get("DREAMHUB_S3_IDENTITIES_FILE", f"{gettempdir()}/identities.json")),
        bucket=environ.get("DREAMHUB_S3_BUCKET", "dreamhub"),
        port=int(environ.get("DREAMHUB_S3_PORT", "8333")),
    )


def build_identities(bucket: str, access_key: str, secret_key: str) -> str:
    """SeaweedFS's own format: one user whose every action is bound to the bucket."""
    actions = [f"{action}:{bucket}" for action in ("Read", "Write", "List", "Tagging")]
    credentials = [{"accessKey": access_key, "secretKey": secret_key}]
    return json.dumps({"identities": [{"name": "dreamhub", "credentials": credentials, "actions": actions}]})


def build_command(settings: Settings) -> list[str]:
    """The server's command line: everything but S3 on the loopback, no optional service."""
    return [
        SERVER,
        "-logtostderr=true",
        "server",
        f"-dir={settings.data}",
        f"-ip={_LOOPBACK}",
        f"-ip.bind={_LOOPBACK}",
        "-master.volumeSizeLimitMB=1024",
        "-volume.max=0",
        "-volume.preStopSeconds=0",
        "-s3",
        "-s3.ip.bind=0.0.0.0",
        f"-s3.port={settings.port}",
        f"-s3.config={settings.identities}",
        "-s3.iam=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
    ]


def _read(file: Path) -> str:
    if not file.is_file() or not (text := file.read_text().strip()):
        raise StartError(f"nothing in {file}: mount a Secret with the keys access-key and secret-key")
    return text


def write_identities(settings: Settings) -> None:
    access, secret = _read(settings.credentials / "access-key"), _read(settings.credentials / "secret-key")
    settings.identities.touch(mode=0o600)
    settings.identities.write_text(build_identities(settings.bucket, access, secret))


def ensure_bucket(bucket: str) -> None:
    """Make the bucket if it is absent. To the filer a bucket is a folder, and making a folder twice makes one."""
    connection = http.client.HTTPConnection(_LOOPBACK, FILER_PORT, timeout=5)
    try:
        connection.request("POST", f"/buckets/{bucket}/")
        response = connection.getresponse()
        if response.status not in (http.HTTPStatus.OK, http.HTTPStatus.CREATED, http.HTTPStatus.CONFLICT):
            raise StartError(f"the filer answered {response.status} to making bucket {bucket}: {response.read()!r}")
    except OSError as error:
        raise StartError(f"the filer does not answer on port {FILER_PORT} yet: {error}") from error
    finally:
        connection.close()


def main() -> NoReturn:
    settings = read_settings(os.environ)
    try:
        if sys.argv[1:] == ["ensure-bucket"]:
            ensure_bucket(settings.bucket)
            sys.exit(0)
        write_identities(settings)
    except StartError as error:
        sys.exit(f"s3: {error}")
    command = build_command(settings)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
