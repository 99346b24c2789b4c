"""What a job will use, before it begins: tokens estimated from sizes and types of files, and their price. Pure.

An estimate is sizes times tokens a byte. The ratio of a type starts at what such files have typically and moves towards
what this tenant's own documents have taken, as far as there are any. The worker weighs documents alike, so that the
share of the work that is done is a share of its cost.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from typing import Literal

Basis = Literal["OwnDocuments", "Typical"]

TYPICAL: Mapping[str, float] = {
    "text/plain": 0.30,
    "text/markdown": 0.30,
    "text/html": 0.20,
    "text/csv": 0.45,
    "text/calendar": 0.30,
    "application/json": 0.40,
    "application/x-ndjson": 0.40,
    "message/rfc822": 0.25,
    "application/pdf": 0.10,
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": 0.10,
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": 0.40,
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": 0.05,
}
"""Tokens a byte of the original: European prose has 4 letters a token, Chinese about 2 bytes. `make bench` prints how
far off they are on the samples."""

OTHERWISE = 0.30
PRIOR_BYTES = 200_000
"""The typical ratio counts as much as so many bytes of the tenant's own documents."""
FURTHEST = 4
"""A tenant's own ratio is at most so many times the typical one, and at least that part of it: what its documents have
taken stands in tables that its own logins write, and an estimate decides about approval."""

_MILLION = 1_000_000
_DIGITS = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Seen:
    """What documents of one type have taken."""

    bytes: int
    tokens: int


@dataclass(frozen=True, slots=True)
class File:
    size: int
    media_type: str


@dataclass(frozen=True, slots=True)
class Estimate:
    documents: int
    bytes: int
    tokens: int
    basis: Basis


@dataclass(frozen=True, slots=True)
class Price:
    """Of a model."""

    per_million: Decimal | None = None
    """None: nobody asks for money."""
    currency: str = "USD"

    def of(self, tokens: int) -> Decimal | None:
        return None if self.per_million is None else self.per_million * tokens / _MILLION


NO_PRICE = Price()


@dataclass(frozen=True, slots=True)
class Threshold:
    """Above it a job waits for a person. None: never."""

    tokens: int | None = None
    cost: Decimal | None = None

    def most_tokens(self, price: Price) -> int | None:
        """The highest estimate that needs no approval. A price threshold without a price stops nothing."""
        limits = [] if self.tokens is None else [self.tokens]
        if self.cost is not None and price.per_million:
            limits.append(int(self.cost * _MILLION / price.per_million))
        return min(limits, default=None)


NO_THRESHOLD = Threshold()


@dataclass(frozen=True, slots=True)
class Ratios:
    """Tokens a byte by media type, as one tenant's documents have them."""

    seen: Mapping[str, Seen] = field(default_factory=dict)

    def of(self, media_type: str) -> float:
        typical = TYPICAL.get(media_type, OTHERWISE)
        own = self.seen.get(media_type)
        if own is None:
            return typical
        seen = (max(0, own.tokens) + typical * PRIOR_BYTES) / (max(0, own.bytes) + PRIOR_BYTES)
        return min(typical * FURTHEST, max(typical / FURTHEST, seen))

    def basis(self, media_types: Iterable[str]) -> Basis:
        """The tenant's own documents, once they count more than the typical ones for every type at hand."""
        wanted = set(media_types)
        known = {kind for kind, own in self.seen.items() if own.bytes >= PRIOR_BYTES}
        return "OwnDocuments" if wanted and wanted <= known else "Typical"


TYPICAL_RATIOS = Ratios()


def weigh(size: int, media_type: str, ratios: Ratios = TYPICAL_RATIOS) -> int:
    """Estimated tokens of one document; never 0, for even an empty one is work."""
    return max(1, round(size * ratios.of(media_type)))


def estimate(files: Iterable[File], ratios: Ratios = TYPICAL_RATIOS) -> Estimate:
    """Of the documents that will be embedded; none of them is 0 tokens."""
    known = list(files)
    return Estimate(
        documents=len(known),
        bytes=sum(file.size for file in known),
        tokens=sum(weigh(file.size, file.media_type, ratios) for file in known),
        basis=ratios.basis(file.media_type for file in known),
    )


def format_money(amount: Decimal) -> str:
    """Rounded up to a millionth, without zeros at the end: "0.42", "12", "0.000001"."""
    text = f"{amount.quantize(_DIGITS, ROUND_CEILING):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
