"""Which Unicode form bytes are in, where the bytes themselves say so. Pure."""

import codecs
import unicodedata

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""The mark of UTF-32-LE begins with that of UTF-16-LE: it is asked for first."""

_SAMPLE = 8_192
_STRANGE = frozenset({"Cc", "Cn", "Co", "Cs"})
_WHITE = frozenset("\t\n\r\f")


def byte_order_mark(data: bytes) -> tuple[str, int] | None:
    """The encoding that a byte order mark names, and the mark's length."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding, len(mark)
    return None


def unmarked_unicode(data: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark, known by where its zero bytes stand; None for everything else.

    Blanks, digits and line ends have a zero byte on one side in every script. Only what decodes to letters is believed,
    so that a binary file with a few zeros is not.
    """
    head = data[:_SAMPLE]
    if 0 not in head:
        return None
    zeros = [head[place::4].count(0) for place in range(4)]
    if len(data) % 4 == 0 and zeros[2] == zeros[3] == len(head) // 4:
        return _if_text(head, "utf-32-le", 4)
    if len(data) % 4 == 0 and zeros[0] == zeros[1] == len(head) // 4:
        return _if_text(head, "utf-32-be", 4)
    if zeros[0] + zeros[2] == 0:
        return _if_text(head, "utf-16-le", 2)
    if zeros[1] + zeros[3] == 0:
        return _if_text(head, "utf-16-be", 2)
    return None


def _if_text(head: bytes, encoding: str, width: int) -> str | None:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        text = decoder.decode(head[: len(head) // width * width])
    except UnicodeDecodeError:
        return None
    strange = any(char not in _WHITE and unicodedata.category(char) in _STRANGE for char in text)
    return None if strange or not text.strip() else encoding


def readable_head(head: bytes) -> bytes:
    """The first bytes of a text as UTF-8 without a mark, so that one set of patterns fits all; others as they are."""
    marked = byte_order_mark(head)
    encoding, skip = marked or (unmarked_unicode(head), 0)
    if encoding is None:
        return head
    if encoding == "utf-8":
        return head[skip:]
    return codecs.getincrementaldecoder(encoding)("replace").decode(head[skip:]).encode("utf-8", "replace")
