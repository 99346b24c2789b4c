"""The container of Word, PowerPoint and Excel files: parts in a zip, tied by relationships.

Parts are read one at a time when they are asked for, so that a deck with a film in it costs the text's memory alone.
Names of elements are taken without their namespaces: the two editions of the standard differ in nothing else.
"""

import io
import posixpath
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote

from lxml import etree
from lxml.etree import _Element as Element

from dreamhub.domain.office_files import macro_error
from dreamhub.errors import InvalidInputError
from dreamhub_worker.archive_guard import check_archive

_CONTENT_TYPES = "[Content_Types].xml"
_EXTERNAL = "External"


@dataclass(frozen=True, slots=True)
class Relation:
    kind: str
    """The last word of the relationship's type, such as `notesSlide`."""
    target: str
    """The part's name, or the address of something outside."""
    external: bool


class Package:
    """Raises InvalidInputError `CorruptOffice` for what breaks the rules of the container."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._names = frozenset(archive.namelist())

    @classmethod
    def open(cls, data: bytes) -> Self:
        """Raises what `check_archive` refuses, and UnsupportedTypeError `MacroEnabled`."""
        check_archive(data)
        package = cls(zipfile.ZipFile(io.BytesIO(data)))
        if any("macroenabled" in (item.get("ContentType") or "").lower() for item in package.read(_CONTENT_TYPES)):
            raise macro_error()
        return package

    def main_part(self) -> str:
        for relation in self.relations("").values():
            if relation.kind == "officeDocument" and relation.target in self._names:
                return relation.target
        raise corrupt_error()

    def read(self, name: str) -> Element:
        """A part's root element."""
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
        try:
            return etree.fromstring(self._archive.read(name), parser)
        except (KeyError, zipfile.BadZipFile, etree.XMLSyntaxError, NotImplementedError, EOFError) as error:
            raise corrupt_error() from error

    def relations(self, part: str) -> dict[str, Relation]:
        """By id. Of the package itself for an empty name."""
        folder, name = posixpath.split(part)
        listing = posixpath.join(folder, "_rels", f"{name}.rels")
        if listing not in self._names:
            return {}
        return {item.get("Id") or "": _relation(item, folder) for item in self.read(listing)}

    def related(self, part: str, kind: str) -> Iterator[str]:
        """Names of present parts that `part` is tied to by relations of a kind, in the order of their listing."""
        for relation in self.relations(part).values():
            if relation.kind == kind and not relation.external and relation.target in self._names:
                yield relation.target

    def core_title(self) -> str | None:
        """The title in the document's properties."""
        for part in self.related("", "core-properties"):
            for element in self.read(part):
                if local(element) == "title" and (element.text or "").strip():
                    return (element.text or "").strip()
        return None

    def __contains__(self, name: str) -> bool:
        return name in self._names


def local(element: Element) -> str:
    """The element's name without its namespace; empty for comments and the like."""
    tag: object = element.tag  # a function for what is no element
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def children(element: Element, name: str) -> Iterator[Element]:
    return (child for child in element if local(child) == name)


def child(element: Element | None, *names: str) -> Element | None:
    """What lies below by these names, the first of each."""
    found = element
    for name in names:
        found = next(children(found, name), None) if found is not None else None
    return found


def attribute(element: Element | None, name: str) -> str | None:
    """By its name without namespace."""
    if element is None:
        return None
    for key, value in element.attrib.items():
        if str(key).rpartition("}")[2] == name:
            return str(value)
    return None


def corrupt_error() -> InvalidInputError:
    return InvalidInputError("the Office file is damaged and cannot be opened; save it again", code="CorruptOffice")


def _relation(item: Element, folder: str) -> Relation:
    target = item.get("Target") or ""
    external = item.get("TargetMode") == _EXTERNAL
    if not external:
        target = unquote(target)
        target = posixpath.normpath(target if target.startswith("/") else posixpath.join("/", folder, target))[1:]
    return Relation((item.get("Type") or "").rpartition("/")[2], target, external)
