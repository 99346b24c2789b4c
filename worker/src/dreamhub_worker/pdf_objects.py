"""The objects of a PDF as bytes, those inside its packed object streams too: enough to look for what they do.

No parser: PDFium reads documents. It tells nothing about actions, so they are looked for in the text of the objects.
"""

import re
import zlib
from collections.abc import Iterator
from functools import cached_property

from dreamhub.errors import TooLargeError

MAX_PACKED_BYTES = 2**22
"""Of one object stream, as it lies in the file."""
MAX_UNPACKED_BYTES = 2**27
"""Of all object streams. The largest real documents have some 20 MB in them."""
MAX_STREAMS = 20_000

_ESCAPED = re.compile(rb"#([0-9A-Fa-f]{2})")
_STREAM = re.compile(rb"/ObjStm\b[^\0]{0,2000}?stream\r?\n")
_FIRST = re.compile(rb"/First\s+(\d+)")
_OBJECT = re.compile(rb"(\d+)\s+\d+\s+obj\b")
_REFERENCE = re.compile(rb"(\d+)\s+\d+\s+R\b")
_MAX_DICTIONARY = 2**14
_BRACKETS = re.compile(rb"<<|>>")


class PdfObjects:
    def __init__(self, data: bytes) -> None:
        self._plain = _unescape(data)
        self._packed = [_unescape(text) for text in _unpack(data)]

    def texts(self) -> Iterator[bytes]:
        """The file itself, then what its object streams hold."""
        yield self._plain
        yield from self._packed

    def values_at(self, text: bytes, start: int) -> Iterator[bytes]:
        """The dictionary that begins there, or those that the reference there may mean (a later one replaces it)."""
        reference = _REFERENCE.match(text, start)
        if reference is None:
            yield _dictionary(text, start)
        else:
            yield from self._by_number.get(int(reference[1]), ())

    @cached_property
    def _by_number(self) -> dict[int, list[bytes]]:
        found: dict[int, list[bytes]] = {}
        for match in _OBJECT.finditer(self._plain):
            found.setdefault(int(match[1]), []).append(self._plain[match.end() : match.end() + _MAX_DICTIONARY])
        for text in self._packed:
            for number, body in _numbered(text):
                found.setdefault(number, []).append(body)
        return {number: [_dictionary(body, 0) for body in bodies] for number, bodies in found.items()}


def _unescape(text: bytes) -> bytes:
    """`/J#61vaScript` is a name like `/JavaScript`."""
    return _ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), text) if b"#" in text else text


def _unpack(data: bytes) -> Iterator[bytes]:
    """Raises TooLargeError for more than can be looked at: what is not seen is not let in."""
    left = MAX_UNPACKED_BYTES
    for count, match in enumerate(_STREAM.finditer(data)):
        packed = memoryview(data)[match.end() : match.end() + MAX_PACKED_BYTES]
        text = _inflate(packed, left)
        left -= len(text)
        if left <= 0 or count >= MAX_STREAMS:
            raise TooLargeError("the PDF unpacks to more than can be looked at; split it")
        start = data.rfind(b"obj", max(0, match.start() - _MAX_DICTIONARY), match.start())
        first = _FIRST.search(data, max(0, start), match.end())
        yield (b"%d " % int(first[1]) if first else b"0 ") + text


def _inflate(packed: memoryview, limit: int) -> bytes:
    """As much as can be read; what cannot, PDFium does not read either."""
    reader = zlib.decompressobj()
    parts: list[bytes] = []
    size = 0
    try:
        for start in range(0, len(packed), 2**14):
            if reader.eof or size >= limit:
                break
            parts.append(reader.decompress(packed[start : start + 2**14], limit - size))
            size += len(parts[-1])
    except zlib.error:
        pass
    return b"".join(parts)


def _numbered(text: bytes) -> Iterator[tuple[int, bytes]]:
    """The objects of an unpacked stream: pairs of number and offset stand before them."""
    skip, _, body = text.partition(b" ")
    first = int(skip)
    words = body[:first].split()
    for number, offset in zip(words[::2], words[1::2], strict=False):
        if number.isdigit() and offset.isdigit():
            start = first + int(offset)
            yield int(number), body[start : start + _MAX_DICTIONARY]


def _dictionary(text: bytes, start: int) -> bytes:
    """From `<<` to the `>>` that closes it, or as far as one reasonably goes."""
    depth = 0
    for bracket in _BRACKETS.finditer(text, start, start + _MAX_DICTIONARY):
        depth += 1 if bracket[0] == b"<<" else -1
        if depth <= 0:
            return text[start : bracket.end()]
    return text[start : start + _MAX_DICTIONARY]
