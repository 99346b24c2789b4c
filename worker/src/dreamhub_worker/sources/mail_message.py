"""What the headers of a message say to a reader: its key, and its name in citations. Pure."""

import hashlib
import re
from contextlib import suppress
from email.errors import HeaderParseError
from email.header import decode_header, make_header

MEDIA_TYPE = "message/rfc822"
REVISION = "1"
"""Messages never change."""

_ID = "message-id"
"""Kept whole, since it is never decoded and tells messages apart."""
_MAX_ID = 400
_MAX_NAME = 200
MAX_HEAD = 2**18
"""Bytes of a message that are searched for headers: their values are held in memory together."""
MAX_VALUE = 2**11
"""Characters of one value that are read: the library takes time by the square of a subject's length to decode it."""
_HEADER = re.compile(rb"^([!-9;-~]+)[ \t]*:(.*(?:\r?\n[ \t].*)*)", re.MULTILINE)


def read_headers(head: bytes) -> dict[str, str]:
    """The first of each header, unfolded, by its name in small letters. Broken ones are left out, long ones are cut."""
    found: dict[str, str] = {}
    for name, value in _HEADER.findall(re.split(rb"\r?\n\r?\n", head[:MAX_HEAD], maxsplit=1)[0]):
        text = re.sub(r"\s+", " ", value.decode("utf-8", errors="replace")).strip()
        key = name.decode("ascii").lower()
        found.setdefault(key, text if key == _ID else text[:MAX_VALUE])
    return found


def message_key(headers: dict[str, str], otherwise: str) -> str:
    """Message-ID, which stays when a message is moved or its folder numbered anew; `otherwise` without one."""
    found = headers.get(_ID, "")
    if not found:
        return otherwise
    return f"mid:{found}" if len(found) <= _MAX_ID else f"mid-sha256:{hashlib.sha256(found.encode()).hexdigest()}"


def message_name(headers: dict[str, str]) -> str:
    """The subject in readable letters."""
    subject = headers.get("subject", "")
    with suppress(HeaderParseError, LookupError, ValueError):  # not encoded as it says: shown as it came
        subject = str(make_header(decode_header(subject)))
    subject = "".join(character if character.isprintable() else " " for character in subject)
    return " ".join(subject.split())[:_MAX_NAME].strip() or "(no subject)"
