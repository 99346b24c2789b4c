"""The Debian that images are built on where no public Python image can be pulled."""

import os
import shutil
import subprocess
from pathlib import Path

from hack.cluster.command import follow, run
from hack.cluster.daemon import Daemon
from hack.cluster.errors import ClusterError
from hack.cluster.host import IMAGE_PROGRAMS, require_programs, require_root
from hack.cluster.progress import Progress
from hack.cluster.settings import OWN_BASE_IMAGE, STOCK_BASE_IMAGE, Settings

_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# pip brings its own list of authorities and obeys only PIP_CERT; uv and Python obey SSL_CERT_FILE.
_CHANGES = (
    "ENV PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
    f"ENV SSL_CERT_FILE={_CERTIFICATES}",
    f"ENV PIP_CERT={_CERTIFICATES}",
    'CMD ["python3"]',
)
_UNNEEDED = (
    "./var/cache/apt/archives/*",
    "./var/cache/debconf/*",
    "./var/lib/apt/lists/*",
    "./var/log/*",
    "./usr/share/doc/*",
    "./usr/share/info/*",
    "./usr/share/man/*",
    "./usr/share/locale/*",
)


def ensure_base_image(settings: Settings, daemon: Daemon, progress: Progress) -> str:
    """Name of a base image with Python 3.11: the public one where it can be had, else our own."""
    for image in (STOCK_BASE_IMAGE, OWN_BASE_IMAGE):
        if daemon.has_image(image):
            return image
    with progress.stage(f"Ask the registry for {STOCK_BASE_IMAGE}"):
        pulled = daemon.can_pull(STOCK_BASE_IMAGE)
    return STOCK_BASE_IMAGE if pulled else ensure_own_base_image(settings, daemon, progress)


def ensure_own_base_image(settings: Settings, daemon: Daemon, progress: Progress) -> str:
    """Make Debian with Python and this machine's certificate authorities (about 40 s) if it is not there."""
    if daemon.has_image(OWN_BASE_IMAGE):
        return OWN_BASE_IMAGE
    require_root("No registry is reached; making a Debian image")
    require_programs(IMAGE_PROGRAMS, progress)
    tree = settings.cache / "context/debian"
    with progress.stage("Make the Debian base image (about 1 min)") as stage:
        shutil.rmtree(tree, ignore_errors=True)
        tree.parent.mkdir(parents=True, exist_ok=True)
        packages = "python3,python3-venv,ca-certificates"
        command = ["debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", str(tree)]
        follow(command, settings.logs / "debootstrap.log", stage.note)
        shutil.copyfile(_CERTIFICATES, tree / str(_CERTIFICATES).lstrip("/"))
        (tree / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        _import(tree, daemon)
        shutil.rmtree(tree)
    return OWN_BASE_IMAGE


def _import(tree: Path, daemon: Daemon) -> None:
    exclusions = [f"--exclude={pattern}" for pattern in _UNNEEDED]
    changes = [word for change in _CHANGES for word in ("--change", change)]
    with subprocess.Popen(["tar", "-C", str(tree), *exclusions, "-c", "."], stdout=subprocess.PIPE) as packed:
        done = subprocess.run(
            ["docker", "import", *changes, "-", OWN_BASE_IMAGE],
            stdin=packed.stdout,
            env={**os.environ, **daemon.environment},
            capture_output=True,
            text=True,
            check=False,
        )
    if packed.returncode or done.returncode:
        raise ClusterError(f"Docker did not take the Debian image in: {done.stderr.strip()}")


def image_megabytes(daemon: Daemon, image: str) -> int:
    """Size of an image in MB (10^6 bytes)."""
    return int(daemon.docker("image", "inspect", "--format", "{{.Size}}", image)) // 1_000_000


def has_builder(daemon: Daemon) -> bool:
    """Whether BuildKit's client part is there; without it only Docker's classic builder works."""
    try:
        run(["docker", "buildx", "version"], environment=daemon.environment)
    except ClusterError:
        return False
    return True
