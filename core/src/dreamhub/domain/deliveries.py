"""What the stream of work hands out: plain values, so that a worker that needs no stream need not import its client."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Delivery:
    item: str
    """Version id."""
    entry: str
    """Id of its entry in the stream."""


@dataclass(frozen=True, slots=True)
class Taken:
    deliveries: tuple[Delivery, ...]
    left: int
    """Items in the stream, those in the hands of workers among them."""
