"""One hostile file: what it calls itself, how it is made, and the codes it may be refused by."""

from collections.abc import Callable
from dataclasses import dataclass

from typing_extensions import override

Build = Callable[[], bytes]


@dataclass(frozen=True)
class Case:
    title: str
    name: str
    """The file's name, as its sender gives it."""
    codes: frozenset[str]
    """Any of these; a file may offend in several ways, and which is seen first is nobody's concern."""
    build: Build
    declared: str = ""

    @override
    def __str__(self) -> str:
        return self.title


def case(title: str, name: str, codes: str, build: Build | bytes, declared: str = "") -> Case:
    """`codes` are separated by blanks."""
    maker = (lambda: build) if isinstance(build, bytes) else build
    return Case(title, name, frozenset(codes.split()), maker, declared)
