"""Office files for tests: made by the libraries that people use, or by hand where those do not go."""

import io
import zipfile
from collections.abc import Callable, Mapping

from docx.document import Document
from pptx.presentation import Presentation

from dreamhub_worker.extract.extracted import Extracted

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
STRICT_W = "http://purl.oclc.org/ooxml/wordprocessingml/main"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_KINDS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
_DOCUMENT = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"


def saved(document: Document | Presentation) -> bytes:
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def zipped(parts: Mapping[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def edited(data: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    """The file with each part, given by name and content, changed."""
    with zipfile.ZipFile(io.BytesIO(data)) as old:
        return zipped({name: change(name, old.read(name)) for name in old.namelist()})


def handmade_docx(
    body: str, *, related: Mapping[str, str] | None = None, namespace: str = W, kind: str = _DOCUMENT
) -> bytes:
    """A Word file of one body; `related` names further parts of it, such as `footnotes`, by their content."""
    others = related or {}
    relations = "".join(
        f'<Relationship Id="r{number}" Type="{_KINDS}/{name}" Target="{name}.xml"/>'
        for number, name in enumerate(others)
    )
    return zipped(
        {
            "[Content_Types].xml": (
                f'<Types xmlns="{_TYPES}"><Default Extension="rels" '
                'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
                f'<Default Extension="xml" ContentType="application/xml"/>'
                f'<Override PartName="/word/document.xml" ContentType="{kind}"/></Types>'
            ),
            "_rels/.rels": (
                f'<Relationships xmlns="{_RELATIONS}">'
                f'<Relationship Id="r" Type="{_KINDS}/officeDocument" Target="/word/document.xml"/></Relationships>'
            ),
            "word/document.xml": f'<w:document xmlns:w="{namespace}"><w:body>{body}</w:body></w:document>',
            "word/_rels/document.xml.rels": f'<Relationships xmlns="{_RELATIONS}">{relations}</Relationships>',
            **{f"word/{name}.xml": content for name, content in others.items()},
        }
    )


def outline(extracted: Extracted) -> list[tuple[tuple[str, ...], str]]:
    """Each section's path and text."""
    return [
        (section.heading_path, extracted.text[section.start : section.end].strip()) for section in extracted.sections
    ]


def place_of(extracted: Extracted, words: str) -> tuple[str, int] | None:
    """Where the first letter of `words` stands."""
    place = extracted.place_at(extracted.text.index(words))
    return (place.unit, place.number) if place else None
