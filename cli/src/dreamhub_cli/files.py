"""Which files an upload means: those named are all sent, folders give what DreamHub can read."""

import mimetypes
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

READABLE = {
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".txt": "text/plain",
    ".text": "text/plain",
    ".log": "text/plain",
    ".html": "text/html",
    ".htm": "text/html",
    ".xhtml": "text/html",
    ".csv": "text/csv",
    ".tsv": "text/csv",
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".ndjson": "application/x-ndjson",
    ".eml": "message/rfc822",
    ".ics": "text/calendar",
    ".pdf": "application/pdf",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
"""Suffix -> media type. The server looks at the bytes too and refuses a file that lies about its type."""


@dataclass(frozen=True)
class Found:
    """A file to send and its document's name: for a file of a folder, the path inside that folder."""

    path: Path
    name: str

    @property
    def media_type(self) -> str | None:
        suffix = self.path.suffix.lower()
        return READABLE.get(suffix) or mimetypes.guess_type(self.path.name)[0]


@dataclass(frozen=True)
class Selection:
    files: tuple[Found, ...]
    skipped: tuple[Path, ...]
    """Files of folders whose suffix DreamHub does not read."""


def select_files(paths: Iterable[Path]) -> Selection:
    """The files under `paths`, each once and in a stable order. Hidden files and folders are left out silently."""
    files: dict[Path, Found] = {}
    skipped: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.setdefault(path.resolve(), Found(path, path.name))
            continue
        for inner in _walk(path):
            if inner.suffix.lower() in READABLE:
                files.setdefault(inner.resolve(), Found(inner, inner.relative_to(path).as_posix()))
            else:
                skipped.append(inner)
    return Selection(tuple(files.values()), tuple(skipped))


def _walk(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir() and not entry.is_symlink():
            yield from _walk(entry)
        elif entry.is_file():
            yield entry
