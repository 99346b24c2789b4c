"""A document's text as its parser writes it down: headings, paragraphs and tables, and where each comes from."""

from collections.abc import Sequence

from dreamhub.domain.places import Unit
from dreamhub_worker.extract.extracted import Extracted, Place, split_sections
from dreamhub_worker.extract.outline import Heading, build_sections
from dreamhub_worker.extract.tables import Row, render_table
from dreamhub_worker.extract.text import check_length, clean, require_text


class Draft:
    """Blocks are parted by an empty line. `finish` gives the document."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._headings: list[Heading] = []
        self._cuts: list[int] = []
        self._places: list[Place] = []

    def heading(self, level: int, text: str) -> None:
        """Level 1 is the highest below a title, which has 0."""
        name = " ".join(clean(text).split())
        if name:
            start = self._length
            self._write(name)
            self._headings.append(Heading(level, name, start, self._length))

    def end_headings(self) -> None:
        """What follows stands under no heading."""
        if self._headings:
            self._headings.append(Heading(0, "", self._length, self._length))

    def block(self, text: str) -> None:
        """A paragraph, or several lines that belong together."""
        tidy = clean(text).strip("\n")
        if tidy.strip():
            self._write(tidy)

    def cut(self) -> None:
        """What follows is not in one piece with what came before."""
        if not self._cuts or self._cuts[-1] != self._length:
            self._cuts.append(self._length)

    def place(self, unit: Unit, number: int) -> None:
        """Where the next block stands in the original. The later word counts when there is no block between two."""
        self._places.append(Place(self._length, unit, number))

    def table(self, header: Row, rows: Sequence[Row], *, unit: Unit | None = None, numbers: Sequence[int] = ()) -> None:
        """A table; one that does not fit a piece stands in pieces of its own.

        With a `unit`, each piece is placed: `numbers` has one for each row.
        """
        groups = list(render_table(header, rows))
        for group in groups:
            if len(groups) > 1:
                self.cut()
            if unit is not None:
                self.place(unit, numbers[group.first])
            self.block(group.text)
        if len(groups) > 1:
            self.cut()

    def finish(self, title: str | None = None, *, titled: bool = True) -> Extracted:
        """Raises InvalidInputError `NoText`. Unless `titled`, no heading is taken for the document's title."""
        text = "".join(self._parts)
        require_text(text)
        found, sections = build_sections(text, self._headings, titled=titled)
        return Extracted(
            text=text,
            title=title or found,
            sections=split_sections(sections, self._cuts, text),
            places=tuple(self._places),
        )

    def _write(self, text: str) -> None:
        self._parts.append(text + "\n\n")
        self._length += len(text) + 2
        check_length(self._length)
