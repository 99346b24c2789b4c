"""The type of a file on disk, by its first and last bytes."""

import os
from pathlib import Path

from dreamhub.domain.media_types import HEAD_BYTES, MediaType, sniff
from dreamhub.domain.office_files import TAIL_BYTES


def sniff_file(path: Path, name: str, declared: str) -> MediaType:
    """`sniff` without reading all of it. Blocks for two short reads."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        file.seek(-min(TAIL_BYTES, path.stat().st_size), os.SEEK_END)
        return sniff(head, name, declared, file.read())
