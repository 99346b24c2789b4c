"""E-mail: who, when and what as text, then each attachment by the parser of its own type, under its name as heading.

Attachments are read in the same process and under the same limits as everything else. One that cannot be read is named
with the reason; it does not take the message with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import parsedate_to_datetime
from typing import cast

from typing_extensions import override

from dreamhub.domain.media_types import is_supported, sniff_bytes
from dreamhub.errors import DreamHubError, InvalidInputError, TooLargeError
from dreamhub_worker.extract.dispatch import extract
from dreamhub_worker.extract.extracted import Extracted, Section, join
from dreamhub_worker.extract.html import extract_html
from dreamhub_worker.extract.text import check_length, clean, decode

MAX_DEPTH = 3
"""Of messages within messages."""
MAX_PARTS = 500
MAX_HEADER_BYTES = 1 << 20
MAX_VALUE = 1 << 13
"""Characters of one header: the library takes time by the square of its length to decode it."""
_HEADERS = ("From", "To", "Cc", "Date", "Subject")
_NAME_LIMIT = 200
_BROKEN = (ValueError, IndexError, TypeError, AttributeError, LookupError, OverflowError)
"""What the standard library lets out when it meets headers that break the rules."""


class _ShortHeaders(EmailPolicy):
    """Cuts each header, of whichever part, before anything decodes it."""

    @override
    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        return name, value[:MAX_VALUE]


_POLICY = cast("EmailPolicy[EmailMessage]", _ShortHeaders())


def extract_mail(data: bytes) -> Extracted:
    """Raises InvalidInputError `BadMail`, TooLargeError."""
    head = data.partition(b"\n\n")[0].partition(b"\r\n\r\n")[0]
    if len(head) > MAX_HEADER_BYTES:
        raise TooLargeError("the message's header is larger than a megabyte; export it again")
    try:
        return _Reader().read(message_from_bytes(data, policy=_POLICY), 1)
    except _BROKEN as error:
        raise _bad_mail() from error


@dataclass
class _Reader:
    """What all messages of one document share."""

    parts: int = 0
    characters: int = 0

    def read(self, message: EmailMessage, depth: int) -> Extracted:
        subject = _header(message, "Subject") or None
        found = _sort(message)
        self.parts += found.count
        if self.parts > MAX_PARTS:
            raise TooLargeError(f"the message has more than the {MAX_PARTS} parts that are accepted; split it")
        unread: list[str] = []
        attached = [part for part in (self._attached(item, depth, unread) for item in found.attachments) if part]
        body = _plain(_head(message), _body(found), unread)
        self._count(body)
        return join(subject, [((), body), *attached])

    def _attached(self, part: EmailMessage, depth: int, unread: list[str]) -> tuple[Sequence[str], Extracted] | None:
        name = _file_name(part)
        try:
            extracted = self._extract(part, name, depth)
        except DreamHubError as error:
            if isinstance(error, TooLargeError) and self.characters:
                check_length(self.characters)
            unread.append(f"{name} (not read: {error.message})")
            return None
        return (name,), extracted

    def _extract(self, part: EmailMessage, name: str, depth: int) -> Extracted:
        if (inner := _inner_message(part)) is not None:
            return self._inner(inner, depth)
        data = _content(part)
        declared = part.get_content_type()
        media_type = sniff_bytes(data, name, declared if is_supported(declared) else "")
        if media_type == "message/rfc822":
            return self._inner(message_from_bytes(data, policy=_POLICY), depth)
        extracted = extract(data, media_type)
        self._count(extracted)
        return extracted

    def _inner(self, message: EmailMessage, depth: int) -> Extracted:
        if depth >= MAX_DEPTH:
            raise InvalidInputError(
                f"messages within messages are read {MAX_DEPTH} deep; save the inner one as a file", code="BadMail"
            )
        return self.read(message, depth + 1)

    def _count(self, extracted: Extracted) -> None:
        self.characters += len(extracted.text)
        check_length(self.characters)


@dataclass
class _Found:
    """The parts of one message that carry something."""

    texts: list[EmailMessage] = field(default_factory=list)
    attachments: list[EmailMessage] = field(default_factory=list)
    count: int = 0


def _sort(message: EmailMessage) -> _Found:
    """Bodies and attachments in order. Attached messages are not entered here: they are documents of their own."""
    found = _Found()
    waiting = [message]
    while waiting:
        part = waiting.pop(0)
        found.count += 1
        if part.is_multipart() and part.get_content_maintype() == "multipart":
            inner = [item for item in part.iter_parts() if isinstance(item, EmailMessage)]
            if part.get_content_subtype() == "alternative":
                inner = _best_alternative(inner)
            waiting[:0] = inner
        elif _is_body(part):
            found.texts.append(part)
        elif not _is_decoration(part):
            found.attachments.append(part)
        if found.count > MAX_PARTS:
            break
    return found


def _best_alternative(parts: Sequence[EmailMessage]) -> list[EmailMessage]:
    """Plain text where there is some, for HTML mails are mostly layout; what is no text stays (an invitation)."""
    plain = [part for part in parts if part.get_content_type() == "text/plain" and _text(part).strip()]
    if not plain:
        return list(parts)
    return [*plain, *(part for part in parts if part.get_content_type() not in {"text/plain", "text/html"})]


def _is_body(part: EmailMessage) -> bool:
    """Text that is shown, or what a broken message leaves of its parts."""
    is_text = part.get_content_type() in {"text/plain", "text/html"} or part.get_content_maintype() == "multipart"
    return is_text and not part.is_attachment() and part.get_filename() is None


def _is_decoration(part: EmailMessage) -> bool:
    """Logos in signatures, and what machines tell each other (delivery status, signatures)."""
    if part.get_content_maintype() == "image" and not part.is_attachment():
        return True
    return part.get_content_type() in {
        *("application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature"),
        *("message/delivery-status", "text/rfc822-headers", "application/pgp-encrypted"),
    }


def _inner_message(part: EmailMessage) -> EmailMessage | None:
    inner = part.get_payload()
    if part.get_content_type() == "message/rfc822" and isinstance(inner, list) and inner:
        return inner[0] if isinstance(inner[0], EmailMessage) else None
    return None


def _content(part: EmailMessage) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _text(part: EmailMessage) -> str:
    charset = part.get_content_charset()
    data = _content(part)
    try:
        return clean(decode(data, charset))
    except InvalidInputError:  # a wrong charset in one part is a nuisance, not a reason to lose the message
        return clean(data.decode("utf-8", "replace"))


def _body(found: _Found) -> str:
    texts = []
    for part in found.texts:
        text = _text(part)
        texts.append(_from_html(text) if part.get_content_type() == "text/html" else text)
    return "\n\n".join(text.strip() for text in texts if text.strip())


def _from_html(source: str) -> str:
    if not source.strip():
        return ""
    try:
        return extract_html(source.encode()).text
    except InvalidInputError:
        return ""


def _head(message: EmailMessage) -> str:
    lines = [(name, _date(message) if name == "Date" else _header(message, name)) for name in _HEADERS]
    return "\n".join(f"{name}: {value}" for name, value in lines if value)


def _plain(head: str, body: str, unread: Sequence[str]) -> Extracted:
    listed = "\n".join(["Attachments that could not be read:", *(f"- {item}" for item in unread)]) if unread else ""
    text = "\n\n".join(part for part in (head, body, listed) if part)
    if not text.strip():
        raise _bad_mail()
    return Extracted(text, None, (Section((), 0, len(text)),))


def _header(message: EmailMessage, name: str) -> str:
    """Decoded and on one line; empty when it breaks the rules so far that the library gives up."""
    try:
        value = message[name]
    except _BROKEN:
        return ""
    return " ".join(clean(str(value or "")).split())


def _date(message: EmailMessage) -> str:
    written = _header(message, "Date")
    try:
        return parsedate_to_datetime(written).isoformat(" ", "minutes")
    except _BROKEN:
        return written


def _file_name(part: EmailMessage) -> str:
    try:
        name = part.get_filename() or ""
    except _BROKEN:
        name = ""
    if not name and (inner := _inner_message(part)) is not None:
        name = _header(inner, "Subject")
    name = " ".join(clean(name).split())[:_NAME_LIMIT]
    return name or f"attachment ({part.get_content_type()})"


def _bad_mail() -> InvalidInputError:
    return InvalidInputError("the message cannot be read; save it as .eml again", code="BadMail")
