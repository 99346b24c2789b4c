"""The documents of a run and what must come of them: each paragraph is a chunk, and no two are alike."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

CHUNKS_A_DOCUMENT = 300
"""A batch and a part of one, so that kills meet checkpoints."""

Place = tuple[str, int, bytes]
"""Name of a document, ordinal of a chunk, hash of its text."""


def find_place(name: str, ordinal: int, text: str) -> Place:
    return name, ordinal, hashlib.sha256(text.encode()).digest()


@dataclass(frozen=True)
class Corpus:
    documents: int

    @property
    def chunks(self) -> int:
        return self.documents * CHUNKS_A_DOCUMENT

    def write(self) -> Iterator[tuple[str, bytes]]:
        """Names and originals."""
        for number in range(self.documents):
            yield _name(number), "\n\n".join(_paragraphs(number)).encode()

    def truth(self) -> frozenset[Place]:
        """Told by the texts alone, without any of the code that ingests them."""
        return frozenset(
            find_place(_name(number), ordinal, text)
            for number in range(self.documents)
            for ordinal, text in enumerate(_paragraphs(number))
        )


def _name(number: int) -> str:
    return f"{number}.txt"


def _paragraphs(number: int) -> list[str]:
    river = " ".join(["the river rises."] * 50)
    return [f"Paragraph {ordinal} of {number}: {river}" for ordinal in range(CHUNKS_A_DOCUMENT)]
