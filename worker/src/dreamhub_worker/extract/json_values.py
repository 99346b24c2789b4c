"""JSON as text: `name: value` lines, cut where its structure is, the names above as headings."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from dreamhub.errors import InvalidInputError
from dreamhub_worker.extract.draft import Draft
from dreamhub_worker.extract.extracted import Extracted
from dreamhub_worker.extract.tables import GROUP_BYTES
from dreamhub_worker.extract.text import clean, decode, require_text

MAX_DEPTH = 200
_INDENT = "  "


def extract_json(data: bytes) -> Extracted:
    """A value, or values one a line. Raises InvalidInputError `BadJSON` or `ExtractionTooDeep`."""
    text = clean(decode(data))
    require_text(text)
    try:
        value = _load(text)
    except orjson.JSONDecodeError as error:
        lines = text.split("\n")
        if len(lines) > 1 and _is_json(lines[0]):
            return _extract_lines(lines)
        raise _bad_json(f"line {error.lineno}") from error
    draft = Draft()
    _write(draft, value)
    return draft.finish(titled=False)


def extract_json_lines(data: bytes) -> Extracted:
    text = clean(decode(data))
    require_text(text)
    return _extract_lines(text.split("\n"))


def _extract_lines(lines: Iterable[str]) -> Extracted:
    draft = Draft()
    waiting: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = "\n".join(_lines(_load(line), 0))
        except orjson.JSONDecodeError as error:
            raise _bad_json(f"line {number}") from error
        if waiting and _size([*waiting, record]) > GROUP_BYTES:
            _flush(draft, waiting)
        if not waiting:
            draft.cut()
            draft.place("line", number)
        waiting.append(record)
    _flush(draft, waiting)
    return draft.finish(titled=False)


def _flush(draft: Draft, waiting: list[str]) -> None:
    draft.block("\n\n".join(waiting))
    waiting.clear()


@dataclass(frozen=True, slots=True)
class _Part:
    path: tuple[str, ...]
    text: str


def _write(draft: Draft, value: Any) -> None:
    shown: tuple[str, ...] = ()
    for part in _parts(value, ()):
        for level, name in enumerate(part.path, 1):
            if part.path[:level] != shown[:level]:
                draft.heading(level, name)
        shown = part.path
        draft.cut()
        draft.block(part.text)


def _parts(value: Any, path: tuple[str, ...]) -> Iterator[_Part]:
    """A value that fits one piece is one. Of a larger one come what fits together, then the rest under its names."""
    text = "\n".join(_lines(value, len(path)))
    if _size([text]) <= GROUP_BYTES or not isinstance(value, dict | list):
        if text.strip():
            yield _Part(path, text)
        return
    waiting: list[str] = []
    large: list[tuple[str, Any]] = []
    for name, item in _members(value):
        member = "\n".join(_member(name, item, len(path)))
        if isinstance(item, dict | list) and _size([member]) > GROUP_BYTES:
            large.append((name, item))
            continue
        if waiting and _size([*waiting, member]) > GROUP_BYTES:
            yield _Part(path, "\n".join(waiting))
            waiting = []
        waiting.append(member)
    if waiting:
        yield _Part(path, "\n".join(waiting))
    for name, item in large:
        yield from _parts(item, (*path, name))


def _members(value: dict[str, Any] | list[Any]) -> Iterator[tuple[str, Any]]:
    """Items of a list are named by their number."""
    if isinstance(value, dict):
        yield from value.items()
    else:
        yield from ((str(number), item) for number, item in enumerate(value, 1))


def _lines(value: Any, depth: int) -> Iterator[str]:
    """Like YAML, without its rules: for reading, never read back."""
    if depth > MAX_DEPTH:
        raise InvalidInputError("the document is nested too deeply; simplify it", code="ExtractionTooDeep")
    match value:
        case dict():
            for name, item in value.items():
                yield from _member(name, item, depth)
        case list():
            for item in value:
                lines = list(_lines(item, depth + 1))
                yield from (("- " if index == 0 else _INDENT) + line for index, line in enumerate(lines))
        case _:
            yield _scalar(value)


def _member(name: str, item: Any, depth: int) -> Iterator[str]:
    if isinstance(item, dict | list) and item:
        yield f"{name}:"
        yield from (_INDENT + line for line in _lines(item, depth + 1))
    else:
        yield f"{name}: {_scalar(item)}"


def _scalar(value: Any) -> str:
    match value:
        case None | {} | []:
            return ""
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)


def _load(text: str) -> Any:
    return orjson.loads(text)


def _is_json(line: str) -> bool:
    try:
        _load(line)
    except orjson.JSONDecodeError:
        return False
    return True


def _size(texts: Iterable[str]) -> int:
    return sum(len(text.encode()) + 1 for text in texts)


def _bad_json(where: str) -> InvalidInputError:
    return InvalidInputError(
        f"the JSON is not valid: {where} cannot be read; correct it, or upload it as plain text", code="BadJSON"
    )
