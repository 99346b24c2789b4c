"""Where in its original a piece of text stands, beside the headings above it."""

from typing import Literal

Unit = Literal["page", "slide", "sheet", "row", "line"]
"""What the number of a place counts: rows are those of a CSV file, lines those of JSON Lines."""
