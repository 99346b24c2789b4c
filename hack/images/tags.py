"""Names an image by a hash of everything that goes into it, so that what did not change is neither built nor loaded."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from hack.images.dockerfile import Dockerfile

TARGETS = ("operator", "api-server", "worker", "postgres", "redis", "s3")
"""The images that DreamHub is made of by default: stages of the Dockerfile."""

ON_REQUEST = ("clamav",)
"""Those that only some values of the chart need; built where they are named."""

REPOSITORY = "dreamhub"
_IGNORED_FOLDERS = frozenset({"__pycache__"})
"""What .dockerignore keeps out of the build context inside of what the Dockerfile copies."""


class MissingSourceError(Exception):
    """The Dockerfile copies a path that is not there."""


def list_files(root: Path, sources: Iterable[str]) -> list[Path]:
    """The files below `sources`, sorted, relative to `root`."""
    found: set[Path] = set()
    for source in sources:
        path = root / source
        if not path.exists():
            raise MissingSourceError(f"the Dockerfile copies {source}, which is not in {root}")
        inside = path.rglob("*") if path.is_dir() else (path,)
        found.update(file.relative_to(root) for file in inside if file.is_file() and not _is_ignored(file))
    return sorted(found)


def _is_ignored(file: Path) -> bool:
    return file.suffix == ".pyc" or bool(_IGNORED_FOLDERS & set(file.parts))


def image_tag(dockerfile: Dockerfile, target: str, root: Path, base: str) -> str:
    """A tag of 16 hex digits over the target's stages, its files and the identity of its base image."""
    digest = hashlib.sha256()
    for part in (base, dockerfile.cut(target)):
        digest.update(hashlib.sha256(part.encode()).digest())
    for file in list_files(root, dockerfile.sources(target)):
        digest.update(f"{file.as_posix()}\0".encode())
        digest.update(hashlib.sha256((root / file).read_bytes()).digest())
    return digest.hexdigest()[:16]


def image_name(target: str, tag: str) -> str:
    return f"{REPOSITORY}/{target}:{tag}"
