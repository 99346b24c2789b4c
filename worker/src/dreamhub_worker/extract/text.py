"""Bytes to text: one rule for every format that is made of characters."""

import codecs

from dreamhub.errors import InvalidInputError
from dreamhub_worker.extract.extracted import Extracted
from dreamhub_worker.extract.outline import build_sections

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_TITLE_LIMIT = 120
_SENTENCE_ENDS = ".,;:!?\u3002\uff1a\uff01\uff1f"


def decode(data: bytes, declared: str | None = None) -> str:
    """Text from its byte order mark, the encoding that the document declares, or UTF-8; never by guessing.

    A guess that is wrong stores nonsense that nobody can find and nobody is told about. Raises InvalidInputError
    `InvalidEncoding` that names the offset of the first bad byte.
    """
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return _decode(data, encoding, len(bom))
    return _decode(data, _known(declared) or "utf-8", 0)


def clean(text: str) -> str:
    """One kind of newline, no NUL, no lone surrogates: what offsets are counted in from here on."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    return text.encode("utf-8", "replace").decode("utf-8")


def require_text(text: str) -> None:
    """Raises InvalidInputError `NoText` when nothing but white space is there."""
    if not text.strip():
        raise InvalidInputError("the document has no text; a scan needs text recognition before upload", code="NoText")


def extract_text(data: bytes) -> Extracted:
    text = clean(decode(data))
    require_text(text)
    _, sections = build_sections(text, ())
    return Extracted(text=text, title=first_line_title(text), sections=sections)


def first_line_title(text: str) -> str | None:
    """The first line when it stands alone, is short and does not end like a sentence: then it is a title."""
    line, _, rest = text.lstrip().partition("\n")
    alone = not rest.partition("\n")[0].strip()
    line = line.strip()
    return line if alone and rest.strip() and 0 < len(line) <= _TITLE_LIMIT and line[-1] not in _SENTENCE_ENDS else None


def _decode(data: bytes, encoding: str, skip: int) -> str:
    try:
        return data[skip:].decode(encoding)
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            f"the text is not valid {encoding.upper()}: byte {error.start + skip} cannot be decoded; "
            "save the file as UTF-8 and upload it again",
            code="InvalidEncoding",
        ) from error


def _known(encoding: str | None) -> str | None:
    if encoding is None:
        return None
    try:
        info = codecs.lookup(encoding.strip())
    except LookupError:
        return None
    return info.name
