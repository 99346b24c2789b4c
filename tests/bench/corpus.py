"""Text for load: reproducible, with a natural spread of words, never the same twice."""

import random

from tests.bench.environment import SAMPLES
from tests.unit.worker.pdfs import typeset


def sentences() -> list[str]:
    """Every sentence of the plain-text samples, in order."""
    text = "\n".join(path.read_text() for path in sorted(SAMPLES.glob("*.md")) if ".zh." not in path.name)
    lines = (line.strip() for line in text.splitlines())
    return [
        part.strip() + "." for line in lines if line and not line.startswith("#") for part in line.split(".") if part
    ]


def write_document(seed: int, sections: int) -> bytes:
    """A Markdown document of `sections` sections of about three chunks each, made of shuffled real sentences."""
    chooser, pool = random.Random(seed), sentences()
    parts = [f"# Report {seed}"]
    for number in range(sections):
        parts.append(f"## Section {number}: {' '.join(chooser.choice(pool).split()[:5])}")
        parts.extend(" ".join(chooser.sample(pool, 8)) for _ in range(4))
    return "\n\n".join(parts).encode()


def write_pdf(seed: int, pages: int) -> bytes:
    """A PDF of full pages, some 2,500 letters each under two headings."""
    chooser, pool = random.Random(seed), sentences()
    return typeset(
        [
            block
            for part in range(2)
            for block in (
                (14, f"Section {page}.{part} {' '.join(chooser.choice(pool).split()[:4])}"),
                (9, " ".join(chooser.sample(pool, 14))),
            )
        ]
        for page in range(pages)
    )


def read_samples() -> dict[str, bytes]:
    """The demo's documents by file name."""
    paths = sorted(path for path in SAMPLES.iterdir() if path.is_file())
    return {path.name: path.read_bytes() for path in paths}
