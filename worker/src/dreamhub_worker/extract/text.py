"""Bytes to text: one rule for every format that is made of characters."""

import codecs
import re
from collections.abc import Iterator
from pkgutil import resolve_name

from dreamhub.domain.encodings import byte_order_mark, unmarked_unicode
from dreamhub.errors import InvalidInputError, TooLargeError
from dreamhub_worker.extract.extracted import Extracted
from dreamhub_worker.extract.outline import build_sections

MAX_CHARACTERS = 50_000_000
"""Of extracted text. A small file that unfolds to more is an attack or belongs into a database."""

_TITLE_LIMIT = 120
_SENTENCE_ENDS = ".,;:!?\u3002\uff1a\uff01\uff1f"

_SURE = 0.03
"""The detector's confidence from which it is believed. Measured: real text of one line in 18 encodings has 0.04 to
0.95 and was right each time, random bytes and words of one accented letter stay below 0.02."""
_SAMPLE = 1 << 18
"""How much, from the first letter on that is not ASCII, the detector looks at."""
_BEFORE = 1_000
_FOREIGN = re.compile(rb"[\x80-\xff]")
_ACCENTED = re.compile(rb"(?<=[A-Za-z])[\xc0-\xff]|[\xc0-\xff](?=[a-z])")
_SHIFTED = re.compile(rb"\x1b\$")
"""ISO 2022 writes Japanese and Korean in seven bits, which pass for ASCII."""
_RUBBISH = re.compile("[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f-\x9f\ufffd\ufffe\uffff]")
_RUBBISH_SHARE = 50
"""One character in so many may be a control character, as the sniffer allows in the head."""

_WIDER = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "big5": "big5hkscs",
    "tis-620": "cp874",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
}
"""What files in fact hold that name the left one: the right one has the same characters and more, as browsers know."""
_READ = frozenset(
    {
        *("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"),
        *(f"cp{number}" for number in range(1250, 1259)),
        *(f"iso8859-{number}" for number in (*range(2, 12), *range(13, 17))),
        *("koi8-r", "koi8-u", "cp866", "mac-roman", "cp874", "gb18030", "hz", "big5hkscs", "cp950"),
        *("cp932", "shift_jis_2004", "euc_jp", "iso2022_jp", "iso2022_jp_2", "cp949", "iso2022_kr"),
    }
)
"""Python knows more that are no encodings of text, and some whose decoders take a time that grows with the square."""
_OTHER_NAMES = {
    "x-sjis": "cp932",
    "windows-31j": "cp932",
    "ms_kanji": "cp932",
    "x-gbk": "gb18030",
    "x-euc-jp": "euc_jp",
}


def decode(data: bytes, declared: str | None = None) -> str:
    """Text from its byte order mark, the encoding that the document declares, UTF-8, or the one that it is surely in.

    A guess that is wrong stores nonsense that nobody can find and nobody is told about: so what is nearly UTF-8 is a
    damaged file, and a doubtful guess is none. Raises InvalidInputError `InvalidEncoding` that names the offset of the
    first bad byte, and `NotText` for what decodes to rubbish.
    """
    text = _read(data, declared)
    if len(_RUBBISH.findall(text)) > len(text) // _RUBBISH_SHARE:
        raise InvalidInputError(
            "the file is no text: it is full of control characters; check that it opens elsewhere", code="NotText"
        )
    return text


def _read(data: bytes, declared: str | None) -> str:
    if (marked := byte_order_mark(data)) is not None:
        encoding, skip = marked
        return _decode(data, encoding, skip)
    known = _known(declared)
    for candidate in (known, *_unmistakable(data)):
        if candidate is not None and (text := _try(data, candidate)) is not None:
            return text
    if known is None and not _is_damaged_utf8(data):
        guessed = _guess(data)
        if guessed is not None and (text := _try(data, guessed)) is not None:
            return text
    return _decode(data, known or "utf-8", 0)


def clean(text: str) -> str:
    """One kind of newline, no NUL, no lone surrogates: what offsets are counted in from here on."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    return text.encode("utf-8", "replace").decode("utf-8")


def require_text(text: str) -> None:
    """Raises InvalidInputError `NoText` when nothing but white space is there."""
    if not text.strip():
        raise InvalidInputError("the document has no text; a scan needs text recognition before upload", code="NoText")


def check_length(characters: int) -> None:
    """Raises TooLargeError. To be asked while a text grows, not only at its end."""
    if characters > MAX_CHARACTERS:
        raise TooLargeError(
            f"the document has more than the {MAX_CHARACTERS:,} characters of text that are accepted: split it"
        )


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


def _try(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _unmistakable(data: bytes) -> Iterator[str | None]:
    if _SHIFTED.search(data):
        yield from ("iso2022_jp", "iso2022_jp_2", "iso2022_kr")
    yield unmarked_unicode(data)
    yield "utf-8"


def _is_damaged_utf8(data: bytes) -> bool:
    """Whether most of what is not ASCII reads as UTF-8: then something broke the file, and no other encoding fits."""
    sample = data[:_SAMPLE].decode("utf-8", "replace")
    bad = sample.count("\ufffd")
    return sum(char > "\x7f" for char in sample) - bad > bad


def _guess(data: bytes) -> str | None:
    """The detector's tables are only loaded for the few files that say nothing."""
    foreign = _FOREIGN.search(data)
    start = max(0, foreign.start() - _BEFORE) if foreign else 0
    found = resolve_name("chardet:detect")(data[start : start + _SAMPLE])
    if found["confidence"] >= _SURE:
        return _known(found["encoding"])
    return "cp1252" if _is_european(data) else None


def _is_european(data: bytes) -> bool:
    """Whether the few letters that are not ASCII stand in words of ASCII, and are the same in West and Central Europe.

    A list of names has too few of them to be sure of an encoding, and enough to be sure of the letters.
    """
    try:
        alike = data.decode("cp1250") == data.decode("cp1252")
    except UnicodeDecodeError:
        return False
    return alike and len(_ACCENTED.findall(data)) == len(_FOREIGN.findall(data))


def _known(encoding: str | None) -> str | None:
    """Python's name of an encoding that is read, else None."""
    if encoding is None:
        return None
    label = encoding.strip().lower()
    try:
        name = codecs.lookup(_OTHER_NAMES.get(label, label)).name
    except (LookupError, ValueError):
        return None
    name = _WIDER.get(name, name)
    return name if name in _READ else None
