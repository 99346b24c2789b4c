"""SQL as reviewed artefacts: `queries/<file>.sql` holds blocks that start with `-- name: <block>`."""

import re
from importlib import resources

from dreamhub.errors import BugError

_NAME = re.compile(r"^-- name: (\w+)[ \t]*$", re.MULTILINE)


def parse_blocks(text: str) -> dict[str, str]:
    """The named blocks of a file. What stands before the first name is commentary."""
    parts = _NAME.split(text)
    names, bodies = parts[1::2], parts[2::2]
    if len(set(names)) != len(names):
        raise BugError(f"two SQL blocks carry one name: {sorted(names)}")
    return {name: body.strip() for name, body in zip(names, bodies, strict=True)}


def load_queries(file: str) -> dict[str, str]:
    return parse_blocks(resources.files("dreamhub.sql").joinpath("queries", f"{file}.sql").read_text(encoding="utf-8"))
