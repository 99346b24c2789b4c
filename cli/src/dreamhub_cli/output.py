"""What the commands print: for people on a terminal, or JSON for programs. Standard output is the result, nothing else.

Text that came from a document is never trusted: control characters are taken out, so that no document can move the
cursor or rename the terminal, and it never passes through rich's markup.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel
from rich.console import Console
from rich.text import Text

from dreamhub_client.errors import ApiError, ClientError
from dreamhub_client.models import Citation, Hit

THE_SOURCE = "(the source)"
"""In place of a name, where neither a document nor one item is meant."""

FILE_COLUMNS = 500
"""Of what is no terminal: a row of a table stays one line for whoever searches it, and no id in it is cut."""


@dataclass(frozen=True)
class Output:
    """`out` for results, `err` for progress and errors."""

    as_json: bool
    out: Console
    err: Console

    def document(self, value: object) -> None:
        """One JSON document on standard output."""
        self.out.out(json.dumps(_plain(value), ensure_ascii=False, indent=2), highlight=False)

    def line(self, value: object) -> None:
        """One line of JSON, flushed: a reader at the other end of a pipe sees it now."""
        self.out.out(json.dumps(_plain(value), ensure_ascii=False), highlight=False)
        self.out.file.flush()

    def say(self, *parts: tuple[str, str] | str) -> None:
        """A line for people, of texts and (text, style) pairs."""
        self.out.print(_text(parts), soft_wrap=True)

    def note(self, *parts: tuple[str, str] | str) -> None:
        """A line for people that is no result: hints, counts, warnings."""
        self.err.print(_text(parts), soft_wrap=True)

    def failure(self, message: str, *, code: str = "", status: int | None = None) -> None:
        if self.as_json:
            error = {"code": code, "status": status, "message": message}
            self.err.out(json.dumps({"error": error}, ensure_ascii=False), highlight=False)
        else:
            self.note(("error: ", "bold red"), message)

    def client_failure(self, error: ClientError) -> None:
        if isinstance(error, ApiError):
            self.failure(sentence(error), code=error.code, status=error.status)
        else:
            self.failure(error.message, code=type(error).__name__.removesuffix("Error"))


def open_output(*, as_json: bool) -> Output:
    wide = None if sys.stdout.isatty() else FILE_COLUMNS
    return Output(as_json, Console(file=sys.stdout, width=wide), Console(file=sys.stderr))


def sentence(error: ApiError) -> str:
    """The server's sentence, and when to come back where it says so."""
    if error.retry_after is None:
        return f"{error.message} ({error.code})"
    return f"{error.message} ({error.code}; try again in {error.retry_after:g} s)"


def printable(text: str) -> str:
    """The text without control characters; white space stays."""
    return "".join(c for c in text if c.isprintable() or c in "\n\t")


def place(passage: Hit | Citation) -> str:
    """Where a passage stands: document, page (or slide, sheet, row) and section."""
    parts = [passage.document_name]
    if passage.page is not None:
        parts.append(f"{passage.unit or 'page'} {passage.page}")
    if passage.heading_path:
        parts.append(" > ".join(passage.heading_path))
    return printable(", ".join(parts))


def size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def _text(parts: Sequence[tuple[str, str] | str]) -> Text:
    clean = ((printable(part), "") if isinstance(part, str) else (printable(part[0]), part[1]) for part in parts)
    return Text.assemble(*clean)


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
